// Package api is what passes over the control interface of Fairlead, and over that
// of "fairlead guard": the values, what they say as text, and the clients. Whoever
// only asks a running Fairlead needs this package and no other: it knows no core, no
// store and no host. Package control has the server, and makes these values.
//
// All paths begin with /v1. Names in JSON are snake_case, times RFC 3339,
// lifetimes whole seconds or "infinite", DUIDs hexadecimal with colons. Watch
// and trace are streams of server-sent events. Within /v1 fields are added, and
// never renamed or removed. docs/openapi.json describes all of it, with the comments of
// this package as its words: `UPDATE=1 go test ./docs` writes it anew.
//
// Every value here is plain data, a copy of its owner's state: whoever gets one
// may keep it. Clients may be used from any goroutine.
package api
