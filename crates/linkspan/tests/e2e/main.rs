//! The whole of linkspan from outside: the program, real namespaces, real packets. Each test makes
//! private hosts of its own (see `linkspan-testkit`), so all of them run side by side.

mod adopt;
mod clock;
mod configurations;
mod daemon;
mod endpoint_options;
mod endpoints;
mod ends;
mod explain;
mod handover;
mod heal;
mod hook;
mod isolation;
mod kill;
mod links;
mod matrix;
mod modes;
mod names;
mod neighbours;
mod networks;
mod output;
mod privileges;
mod publish;
mod readme;
mod refusals;
mod resolver;
mod run;
mod scale;
mod service;
mod spoof;
mod subnets;
mod support;
mod tutorials;
mod verify;
mod vrf;
mod ways;
