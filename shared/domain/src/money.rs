//! Amounts of money, as the provider bills them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::id::letter_code;

letter_code!(
    /// A currency: the three letters of ISO 4217.
    Currency,
    3,
    "a currency: three letters of ISO 4217"
);

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Millionths of the currency's unit, rounded.
    pub micros: i64,
    /// The currency.
    pub currency: Currency,
}

impl fmt::Display for Money {
    /// With two digits after the point, rounded: `12.34 USD`; what is less than half a hundredth is
    /// said to be little, not nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CENT: u64 = 10_000;
        let (sign, micros) = (if self.micros < 0 { "-" } else { "" }, self.micros.unsigned_abs());
        let cents = micros.saturating_add(CENT / 2).wrapping_div(CENT);
        let (units, rest) = (cents.wrapping_div(100), cents.wrapping_rem(100));
        if micros > 0 && cents == 0 {
            return write!(f, "less than 0.01 {}", self.currency);
        }
        write!(f, "{sign}{units}.{rest:02} {}", self.currency)
    }
}

/// What is billed of some usage so far: billing lags behind usage, and an amount is only ever known
/// of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bill {
    money: Option<Money>,
    of: Bytes,
}

impl Bill {
    /// What is billed of these bytes, where that is known.
    #[must_use]
    pub const fn of(bytes: Bytes, money: Option<Money>) -> Self {
        match money {
            Some(_) => Self { money, of: bytes },
            None => Self { money: None, of: Bytes(0) },
        }
    }

    /// Both together. Amounts of different currencies have no sum: then only the first is known.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        match (self.money, other.money) {
            (None, _) => other,
            (Some(one), Some(other_money)) if one.currency == other_money.currency => {
                let micros = one.micros.saturating_add(other_money.micros);
                Self { money: Some(Money { micros, ..one }), of: self.of.plus(other.of) }
            }
            (Some(_), _) => self,
        }
    }

    /// The amount, and the bytes that it is of.
    #[must_use]
    pub fn known(self) -> Option<(Money, Bytes)> {
        self.money.map(|money| (money, self.of))
    }

    /// What other bytes would cost at this bill's price. `None` where no price is known.
    #[must_use]
    pub fn price_of(self, bytes: Bytes) -> Option<Money> {
        let Money { micros, currency } = self.money.filter(|money| money.micros > 0)?;
        let product = i128::from(micros).checked_mul(i128::from(bytes.0))?;
        let micros = product.checked_div(i128::from(self.of.0))?;
        Some(Money { micros: i64::try_from(micros).ok()?, currency })
    }

    /// Half of it: what is older weighs less in a price.
    #[must_use]
    pub const fn halved(self) -> Self {
        let of = Bytes(self.of.0.wrapping_div(2));
        match self.money {
            Some(Money { micros, currency }) => {
                Self { money: Some(Money { micros: micros.wrapping_div(2), currency }), of }
            }
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(micros: i64) -> Money {
        Money { micros, currency: "usd".parse().unwrap() }
    }

    #[test]
    fn an_amount_reads_like_a_price_tag() {
        let read = [1_234_567, -1_235_000, 0, 4_999, 5_000, i64::MIN].map(|m| usd(m).to_string());
        let expected = ["1.23 USD", "-1.24 USD", "0.00 USD", "less than 0.01 USD", "0.01 USD"];
        assert_eq!(read[..5], expected);
        assert_eq!(read[5], "-9223372036854.78 USD");
        assert!(
            ["", "US", "USDT", "U1D", "€"].iter().all(|text| text.parse::<Currency>().is_err())
        );
    }

    #[test]
    fn bills_add_up_and_what_is_not_billed_yet_is_no_part_of_them() {
        let one = Bill::of(Bytes(10), Some(usd(100)));
        let lagging = Bill::of(Bytes(1_000), None);
        assert_eq!(one.with(lagging), one);
        assert_eq!(lagging.with(one), one);
        let both = one.with(Bill::of(Bytes(30), Some(usd(500))));
        assert_eq!(both.known(), Some((usd(600), Bytes(40))));
        let euros = Money { micros: 7, currency: "EUR".parse().unwrap() };
        assert_eq!(both.with(Bill::of(Bytes(1), Some(euros))), both);
        assert_eq!(both.halved().known(), Some((usd(300), Bytes(20))));
        assert_eq!(Bill::default().halved(), Bill::default());
    }

    #[test]
    fn a_price_is_that_of_what_was_billed() {
        let bill = Bill::of(Bytes(4), Some(usd(10)));
        assert_eq!(bill.price_of(Bytes(31)), Some(usd(77)));
        assert_eq!(bill.price_of(Bytes(u64::MAX)), None, "no amount holds it");
        assert_eq!(Bill::of(Bytes(0), Some(usd(10))).price_of(Bytes(1)), None);
        assert_eq!(Bill::of(Bytes(9), Some(usd(0))).price_of(Bytes(1)), None, "free is no price");
        assert_eq!(Bill::default().price_of(Bytes(1)), None);
    }
}
