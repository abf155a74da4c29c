//! Numbers as people read them.

/// The number with a comma before each three digits: `1,000,000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn three_digits_stand_together() {
        let numbers = [0, 999, 1_000, 12_345, 100_000, 10_000_000_000_000];
        let expected = ["0", "999", "1,000", "12,345", "100,000", "10,000,000,000,000"];
        assert_eq!(numbers.map(grouped), expected);
    }
}
