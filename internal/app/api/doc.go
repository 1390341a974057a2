// Package api is what passes over the control interface of Fairlead, and over that of "fairlead
// guard": the values, their form as text, and the clients. A program that only asks a running
// Fairlead needs no other package: this one knows no core, no store and no host. Package control
// has the server, and makes these values.
//
// All paths begin with /v1. Names in JSON are snake_case, times are RFC 3339, lifetimes are whole
// seconds or "infinite", DUIDs are hexadecimal with colons. Watch and trace are streams of
// server-sent events. Within /v1 fields are added, and never renamed or removed.
// docs/openapi.json describes all of it in the words of this package's comments: `UPDATE=1 go
// test ./docs` writes it.
//
// Every value here is plain data, a copy of its owner's state, which the receiver may keep. Any
// goroutine may use a Client.
package api
