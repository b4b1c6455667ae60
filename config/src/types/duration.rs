//! Durations as people write them: `90s`, `15m`, `2h`, `7d`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// A whole number of seconds, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TtlDuration {
    seconds: u64,
}

/// Longest duration that is taken: a hundred years, far from any overflow.
const SECONDS_MAX: u64 = 100 * 365 * 86_400;

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    #[error("'{text}' is no duration; write a number and a unit, such as 90s, 15m, 2h or 7d")]
    Malformed { text: String },
    #[error("'{text}' is no time at all; leave the duration out for none")]
    Zero { text: String },
    #[error("'{text}' is longer than 36500d")]
    TooLong { text: String },
}

impl TtlDuration {
    pub fn get(self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    pub fn as_secs(self) -> u64 {
        self.seconds
    }
}

impl FromStr for TtlDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let malformed = || DurationError::Malformed {
            text: text.to_owned(),
        };
        let (unit_start, unit) = text.char_indices().next_back().ok_or_else(malformed)?;
        let (_, seconds_each) = UNITS
            .into_iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(malformed)?;
        let digits = text.get(..unit_start).ok_or_else(malformed)?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed());
        }
        let seconds = digits
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(seconds_each))
            .filter(|seconds| *seconds <= SECONDS_MAX)
            .ok_or_else(|| DurationError::TooLong {
                text: text.to_owned(),
            })?;
        if seconds == 0 {
            return Err(DurationError::Zero {
                text: text.to_owned(),
            });
        }
        Ok(Self { seconds })
    }
}

impl fmt::Display for TtlDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, each) = UNITS
            .into_iter()
            .find(|(_, each)| self.seconds.is_multiple_of(*each))
            .unwrap_or(('s', 1));
        write!(f, "{}{unit}", self.seconds / each)
    }
}

impl TryFrom<String> for TtlDuration {
    type Error = DurationError;

    fn try_from(text: String) -> Result<Self, DurationError> {
        text.parse()
    }
}

impl From<TtlDuration> for String {
    fn from(duration: TtlDuration) -> Self {
        duration.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        type Parsed = Result<(u64, &'static str), DurationError>;
        let malformed = |text: &str| {
            Err(DurationError::Malformed {
                text: text.to_owned(),
            })
        };
        let too_long = |text: &str| {
            Err(DurationError::TooLong {
                text: text.to_owned(),
            })
        };
        #[rustfmt::skip]
        let cases: [(&str, Parsed); 14] = [
            ("90s",    Ok((90, "90s"))),
            ("60s",    Ok((60, "1m"))),
            ("15m",    Ok((900, "15m"))),
            ("2h",     Ok((7_200, "2h"))),
            ("7d",     Ok((604_800, "7d"))),
            ("36500d", Ok((SECONDS_MAX, "36500d"))),
            ("36501d", too_long("36501d")),
            ("99999999999999999999d", too_long("99999999999999999999d")),
            ("0s",     Err(DurationError::Zero { text: "0s".to_owned() })),
            ("",       malformed("")),
            ("15",     malformed("15")),
            ("m",      malformed("m")),
            ("1.5h",   malformed("1.5h")),
            ("+1h",    malformed("+1h")),
        ];
        for (text, want) in cases {
            let got = text.parse::<TtlDuration>();
            let got = got.map(|ttl| (ttl.as_secs(), ttl.to_string()));
            assert_eq!(
                got,
                want.map(|(secs, text)| (secs, text.to_owned())),
                "{text:?}"
            );
        }
    }
}
