//! The whole of linkspan from outside: the program, real namespaces, real packets. Each test makes
//! private hosts of its own (see `linkspan-testkit`), so all of them run side by side.

mod isolation;
mod names;
mod publish;
mod resolver;
mod support;
mod tutorials;
