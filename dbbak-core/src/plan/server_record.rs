//! What is recorded of the server that was backed up.

use crate::{
    facts::{Facts, ServerFacts},
    model::RestoredFact,
    store::BackedUpServer,
};

/// What is recorded of a server.
pub(super) fn server_record(server: &ServerFacts, facts: &Facts) -> BackedUpServer {
    let restored = match &facts.restored {
        Some(RestoredFact::By(mark)) => Some(mark.restore),
        _ => None,
    };
    BackedUpServer {
        uuid: server.uuid.clone(),
        id: Some(server.server_id),
        version: Some(server.version_text.clone()),
        flavor: Some(server.flavor.to_string()),
        encryption: server.encryption.clone(),
        restored,
        data_born: facts.data_born,
        ..BackedUpServer::default()
    }
}
