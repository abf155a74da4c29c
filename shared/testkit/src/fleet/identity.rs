//! Who a simulated SIM and its devices are.

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use simfuse_domain::device::Tac;
use simfuse_domain::id::SimSid;

/// What identifies one SIM and the devices that it may sit in.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) sid: SimSid,
    /// 19 digits, the last a Luhn digit (ITU-T E.118).
    pub(super) iccid: String,
    pub(super) unique_name: String,
    /// 15 digits.
    pub(super) imsi: String,
    /// IMEI of the sensor that the SIM was sold for.
    pub(super) sensor_imei: String,
    /// IMEI of the tablet that a thief would put it in.
    pub(super) tablet_imei: String,
    /// Address within the provider's own network.
    pub(super) ip_address: String,
    /// Where the sensor stands.
    pub(super) sensor_place: Place,
    /// Where a thief would take the SIM.
    pub(super) thief_place: Place,
}

/// A cell and where it stands, in thousandths of a degree.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) cell_id: String,
    pub(super) lac: String,
    pub(super) lat_thousandths: i32,
    pub(super) lon_thousandths: i32,
}

impl Identity {
    /// The identity of the SIM with this number, from 0; all that differs is drawn or counted.
    pub(super) fn new(index: u32, sensor: Tac, tablet: Tac, rng: &mut Xoshiro256PlusPlus) -> Self {
        let number = index.saturating_add(1);
        let serial = number % 1_000_000;
        let [third, fourth] = rng.random::<[u8; 2]>();
        Self {
            sid: SimSid::from_bytes(rng.random()),
            iccid: with_luhn_digit(format!("8988307{:03}{number:08}", rng.random_range(0..1000))),
            unique_name: format!("river-{number:03}"),
            imsi: format!("73212{number:010}"),
            sensor_imei: with_luhn_digit(format!("{sensor}{serial:06}")),
            tablet_imei: with_luhn_digit(format!("{tablet}{:06}", rng.random_range(0..1_000_000))),
            ip_address: format!("100.64.{third}.{fourth}"),
            sensor_place: Place::draw(rng, 44_000..47_000, -116_000..-111_000),
            thief_place: Place::draw(rng, 33_700..34_300, -118_600..-117_800),
        }
    }
}

impl Place {
    fn draw(
        rng: &mut Xoshiro256PlusPlus,
        lat_thousandths: std::ops::Range<i32>,
        lon_thousandths: std::ops::Range<i32>,
    ) -> Self {
        Self {
            cell_id: rng.random_range(10_000_000..99_999_999_u32).to_string(),
            lac: rng.random_range(1_000..60_000_u32).to_string(),
            lat_thousandths: rng.random_range(lat_thousandths),
            lon_thousandths: rng.random_range(lon_thousandths),
        }
    }
}

/// The digits and their check digit (ISO/IEC 7812-1, annex B; for IMEIs 3GPP TS 23.003, annex B).
pub(crate) fn with_luhn_digit(mut digits: String) -> String {
    let doubled_first = digits.bytes().rev().map(|digit| u32::from(digit.wrapping_sub(b'0')));
    let sum: u32 = doubled_first
        .enumerate()
        .map(|(place, digit)| match place % 2 {
            0 if digit > 4 => digit * 2 - 9,
            0 => digit * 2,
            _ => digit,
        })
        .sum();
    let check = (10 - sum % 10) % 10;
    digits.extend(char::from_digit(check, 10));
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_those_of_published_examples() {
        // The specification's own example of an IMEI, and a well-known credit card test number.
        assert_eq!(with_luhn_digit("49015420323751".to_owned()), "490154203237518");
        assert_eq!(with_luhn_digit("411111111111111".to_owned()), "4111111111111111");
    }
}
