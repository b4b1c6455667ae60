//! Tests of the programs in this kernel. All need root; without it they say so and do nothing.

#[cfg(test)]
mod attach;
#[cfg(test)]
mod features;
#[cfg(test)]
mod flows;
#[cfg(test)]
mod parity;
#[cfg(test)]
mod prog_run;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod verifier;
