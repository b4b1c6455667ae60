//! Tests of the programs in this kernel. All need root; without it they say so and do nothing.

#[cfg(test)]
mod attach;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod egress;
#[cfg(test)]
mod features;
#[cfg(test)]
mod flows;
#[cfg(test)]
mod give_back;
#[cfg(test)]
mod learned;
#[cfg(test)]
mod parity;
#[cfg(test)]
mod pins;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod prog_run;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod verifier;
