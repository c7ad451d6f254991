//! Values of every kind go in and out.

use std::f64::consts::PI;

use crate::exports::waterbear::kit::values::*;
use crate::Kit;

fn area(shape: &Shape) -> f64 {
    match shape {
        Shape::Nothing | Shape::Named(_) => 0.0,
        Shape::Circle(radius) => PI * radius * radius,
        Shape::Rectangle((width, height)) => width * height,
        Shape::Polygon(corners) => {
            let next = corners.iter().cycle().skip(1);
            let twice: f64 = corners.iter().zip(next).map(|(p, q)| p.x * q.y - q.x * p.y).sum();
            twice.abs() / 2.0
        }
    }
}

fn parse(text: &str) -> Result<u64, ParseError> {
    if text.is_empty() {
        return Err(ParseError::Empty);
    }
    if let Some((position, found)) = text.chars().enumerate().find(|(_, c)| !c.is_ascii_digit()) {
        let position = position as u32;
        return Err(ParseError::BadDigit(BadDigit { position, found }));
    }
    text.parse().map_err(|_| ParseError::Overflow(text.to_string()))
}

impl Guest for Kit {
    fn birthday(mut who: Person) -> Person {
        who.age = who.age.saturating_add(1);
        who.tags.push("birthday".to_string());
        who
    }

    fn sort(mut people: Vec<Person>) -> Vec<Person> {
        people.sort_by_key(|person| person.age);
        people
    }

    fn areas(shapes: Vec<Shape>) -> Vec<f64> {
        shapes.iter().map(area).collect()
    }

    fn scale(what: Shape, factor: f64) -> Shape {
        match what {
            Shape::Nothing | Shape::Named(_) => what,
            Shape::Circle(radius) => Shape::Circle(radius * factor),
            Shape::Rectangle((width, height)) => Shape::Rectangle((width * factor, height * factor)),
            Shape::Polygon(mut corners) => {
                for p in &mut corners {
                    p.x *= factor;
                    p.y *= factor;
                }
                Shape::Polygon(corners)
            }
        }
    }

    fn turn(from: Direction, quarters: i32) -> Direction {
        let directions = [Direction::North, Direction::East, Direction::South, Direction::West];
        directions[(from as i32 + quarters.rem_euclid(4)) as usize % 4]
    }

    fn walk(steps: Vec<Direction>) -> (i32, i32) {
        steps.iter().fold((0, 0), |(east, north), step| match step {
            Direction::North => (east, north + 1),
            Direction::South => (east, north - 1),
            Direction::East => (east + 1, north),
            Direction::West => (east - 1, north),
        })
    }

    fn grant(has: Rights, more: Rights) -> Rights {
        has | more
    }

    fn divide(dividend: i32, divisor: i32) -> Result<i32, String> {
        if divisor == 0 {
            return Err("division by zero".to_string());
        }
        dividend.checked_div(divisor).ok_or("overflow".to_string())
    }

    fn parse(text: String) -> Result<u64, ParseError> {
        parse(&text)
    }

    fn check(holds: bool) -> Result<(), ()> {
        if holds { Ok(()) } else { Err(()) }
    }

    fn sum(numbers: Vec<i32>) -> i64 {
        numbers.into_iter().map(i64::from).sum()
    }

    fn reverse(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.reverse();
        bytes
    }

    fn mirror(text: String) -> String {
        text.chars().rev().collect()
    }

    fn repeat(text: String, times: u32) -> String {
        text.repeat(times as usize)
    }

    fn split(text: String, separator: char) -> Vec<String> {
        text.split(separator).map(str::to_string).collect()
    }

    fn join(parts: Vec<String>, separator: String) -> String {
        parts.join(&separator)
    }

    fn transpose(rows: Vec<Vec<u32>>) -> Vec<Vec<u32>> {
        let columns = rows.first().map_or(0, Vec::len);
        (0..columns).map(|i| rows.iter().map(|row| row[i]).collect()).collect()
    }

    fn count(words: Vec<String>) -> Vec<(String, u32)> {
        let mut counts: Vec<(String, u32)> = Vec::new();
        for word in words {
            match counts.iter_mut().find(|(known, _)| *known == word) {
                Some((_, count)) => *count += 1,
                None => counts.push((word, 1)),
            }
        }
        counts
    }

    fn swap((text, number): (String, u32)) -> (u32, String) {
        (number, text)
    }

    fn flip(outcome: Result<Vec<String>, u32>) -> Result<u32, Vec<String>> {
        match outcome {
            Ok(right) => Err(right),
            Err(wrong) => Ok(wrong),
        }
    }

    fn wrap(value: Option<u32>) -> Option<Option<u32>> {
        Some(value)
    }

    fn unwrap(value: Option<Option<u32>>) -> Option<u32> {
        value.flatten()
    }

    fn pack(
        truth: bool,
        unsigned8: u8,
        signed8: i8,
        unsigned16: u16,
        signed16: i16,
        unsigned32: u32,
        signed32: i32,
        unsigned64: u64,
        signed64: i64,
        float32: f32,
        float64: f64,
        letter: char,
        text: String,
        maybe: Option<String>,
        bytes: Vec<u8>,
    ) -> Everything {
        Everything {
            truth,
            unsigned8,
            signed8,
            unsigned16,
            signed16,
            unsigned32,
            signed32,
            unsigned64,
            signed64,
            float32,
            float64,
            letter,
            text,
            maybe,
            bytes,
        }
    }
}
