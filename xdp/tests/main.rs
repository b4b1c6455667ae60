//! Tests of the programs in this kernel. All need root; without it they say so and do nothing.

mod attach;
mod flows;
mod prog_run;
mod support;
mod verifier;
