use super::Controller;
use crate::{ProcessRecord, RecordChange};
use linkspan_model::{Error, EventAction, EventSubject, Result};

impl Controller {
    /// Remembers the program that was started in a sandbox.
    pub fn set_process(&self, sandbox: &str, process: ProcessRecord) -> Result<()> {
        self.edit_process(sandbox, EventAction::Start, |slot| {
            *slot = Some(process);
            Ok(())
        })
    }

    /// Remembers that the program of a sandbox has ended.
    pub fn process_exited(&self, sandbox: &str, status: i32) -> Result<()> {
        self.edit_process(sandbox, EventAction::Die, |slot| {
            let process = slot.as_mut().ok_or_else(|| Error::not_found("no program was started in the sandbox"))?;
            process.exit_status = Some(status);
            Ok(())
        })
    }

    fn edit_process(
        &self,
        sandbox: &str,
        action: EventAction,
        edit: impl FnOnce(&mut Option<ProcessRecord>) -> Result<()>,
    ) -> Result<()> {
        let id = self.read().ready_sandbox(sandbox)?.id;
        let operation = self.sandbox_operation(id);
        let _operation = self.operate(&operation);
        let mut state = self.write();
        let mut record = state.ready_sandbox(&id.to_string())?.clone();
        edit(&mut record.process)?;
        record.leased = false;
        self.commit(&[RecordChange::PutSandbox(record.clone())])?;
        let name = record.name.to_string();
        // Only the process differs: the indexes by name and port stay as they are.
        state.sandboxes.insert(id, record);
        drop(state);
        self.emit(EventSubject::Sandbox, action, id.to_string(), [("name", name)]);
        Ok(())
    }
}
