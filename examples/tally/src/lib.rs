//! A component that counts in PostgreSQL. The driver is tokio-postgres, which knows
//! nothing of Waterbear: when the connection is lost, because the program was
//! killed or the database was, it says so, and the program connects again.

use std::cell::RefCell;
use std::net::ToSocketAddrs;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

wit_bindgen::generate!({ path: "wit", world: "tally" });

struct Component;

export!(Component);

/// State is what lasts from call to call.
struct State {
    runtime: Runtime,
    client: Option<Client>,
    connections: u32,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State {
        runtime: Builder::new_current_thread().enable_io().build().expect("a runtime"),
        client: None,
        connections: 0,
    });
}

/// ATTEMPTS is how often a transaction is tried over a new connection.
const ATTEMPTS: u32 = 5;

impl Guest for Component {
    fn count(database: String, key: String) -> Result<u64, String> {
        STATE.with_borrow_mut(|state| {
            let mut last = String::new();
            for _ in 0..ATTEMPTS {
                match state.attempt(&database, &key) {
                    Ok(n) => return Ok(n),
                    Err(e) => {
                        state.client = None;
                        last = e;
                    }
                }
            }
            Err(last)
        })
    }

    fn connections() -> u32 {
        STATE.with_borrow(|state| state.connections)
    }
}

impl State {
    fn attempt(&mut self, database: &str, key: &str) -> Result<u64, String> {
        let State { runtime, client, connections } = self;
        runtime.block_on(async {
            if client.as_ref().is_none_or(|c| c.is_closed()) {
                *client = Some(connect(database).await?);
                *connections += 1;
            }
            count(client.as_mut().expect("a client"), key).await.map_err(|e| e.to_string())
        })
    }
}

async fn connect(database: &str) -> Result<Client, String> {
    let config: Config = database.parse().map_err(|e| format!("{e}"))?;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        None => return Err("the database has no host".into()),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let mut last = format!("{host} has no address");
    for address in (host.as_str(), port).to_socket_addrs().map_err(|e| e.to_string())? {
        match tokio::net::TcpStream::connect(address).await {
            Ok(stream) => {
                let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(|e| e.to_string())?;
                tokio::spawn(connection);
                return Ok(client);
            }
            Err(e) => last = e.to_string(),
        }
    }
    Err(last)
}

/// count counts a key in one transaction: the database knows it by its key.
async fn count(client: &mut Client, key: &str) -> Result<u64, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    let new = transaction
        .execute("INSERT INTO counted (key) VALUES ($1) ON CONFLICT DO NOTHING", &[&key])
        .await?;
    let row = transaction
        .query_one("UPDATE total SET n = n + $1 RETURNING n", &[&(new as i64)])
        .await?;
    transaction.commit().await?;
    Ok(row.get::<_, i64>(0) as u64)
}
