//! The configuration and the secrets that the operator gives to the component.

use crate::bindings::waterbear::durable::config as host;

/// Gives a value, or none if there is no such name. The error says why nothing
/// could be read.
pub fn get(name: &str) -> Result<Option<String>, String> {
    host::get(name)
}

/// Gives all names and values, in the order of the names.
pub fn get_all() -> Result<Vec<(String, String)>, String> {
    host::get_all()
}
