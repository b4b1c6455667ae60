//! The programs of one interface slot, loaded over the pinned maps.

use std::{
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

use aya::{
    Ebpf, EbpfLoader,
    programs::{ProgramError, SchedClassifier, Xdp},
};

use crate::{LoadError, object::OBJECT};

pub(crate) const XDP: &str = "palisade_xdp";
pub(crate) const EGRESS: &str = "palisade_egress";
pub(crate) const GIVE_BACK: &str = "palisade_give_back";

/// Loaded programs. They run while a link, or this, holds them.
#[derive(Debug)]
pub struct Programs {
    object: Ebpf,
}

impl Programs {
    /// Loads the programs for `slot`. All maps must be pinned in `directory`, and checked.
    pub(crate) fn load(directory: &Path, slot: u16) -> Result<Self, LoadError> {
        let slot = u32::from(slot);
        let mut object = EbpfLoader::new()
            .default_map_pin_directory(directory)
            .override_global("SLOT", &slot, true)
            .load(OBJECT)
            .map_err(|error| LoadError::Object(Box::new(error)))?;
        load::<Xdp>(&mut object, XDP, Xdp::load)?;
        load::<SchedClassifier>(&mut object, EGRESS, SchedClassifier::load)?;
        load::<SchedClassifier>(&mut object, GIVE_BACK, SchedClassifier::load)?;
        Ok(Self { object })
    }

    /// The program on what arrives.
    pub fn xdp(&self) -> Result<&Xdp, LoadError> {
        get(&self.object, XDP)
    }

    /// The program on what leaves.
    pub fn egress(&self) -> Result<&SchedClassifier, LoadError> {
        get(&self.object, EGRESS)
    }

    /// The program on the far end of the give-back pair.
    pub fn give_back(&self) -> Result<&SchedClassifier, LoadError> {
        get(&self.object, GIVE_BACK)
    }

    pub(crate) fn fd(&self, name: &'static str) -> Result<BorrowedFd<'_>, LoadError> {
        let program = self.object.program(name).ok_or_else(|| missing(name))?;
        let fd = program.fd().map_err(refused(name))?;
        Ok(fd.as_fd())
    }
}

fn get<'a, P>(object: &'a Ebpf, name: &'static str) -> Result<&'a P, LoadError>
where
    &'a P: TryFrom<&'a aya::programs::Program, Error = ProgramError>,
{
    object
        .program(name)
        .ok_or_else(|| missing(name))?
        .try_into()
        .map_err(refused(name))
}

fn load<P>(
    object: &mut Ebpf,
    name: &'static str,
    load: impl FnOnce(&mut P) -> Result<(), ProgramError>,
) -> Result<(), LoadError>
where
    for<'a> &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    let program = object.program_mut(name).ok_or_else(|| missing(name))?;
    program.try_into().and_then(load).map_err(refused(name))
}

fn missing(name: &str) -> LoadError {
    LoadError::Incomplete {
        what: format!("program {name}"),
    }
}

fn refused(program: &'static str) -> impl FnOnce(ProgramError) -> LoadError {
    move |source| LoadError::Program {
        program,
        source: Box::new(source),
    }
}
