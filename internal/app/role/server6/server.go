package server6

import (
	"fairlead/internal/app/engine"
	"fairlead/internal/app/network"
	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// server is the role that the engine plays: it connects the server's core with the network and the
// rest of the process.
type server struct {
	network.Side[*server6.Server]
}

var _ engine.Role[*server6.Server] = (*server)(nil)

// Suspect identifies the sender of a message, for the quarantine: link-address and peer-address of
// a Relay-forward, combined by XOR. So messages of one client that make the core panic do not mute
// the relay agent for all other clients.
func (s *server) Suspect(payload []byte) (of [16]byte) {
	if len(payload) >= 34 && dhcp6.MessageType(payload[0]) == dhcp6.RelayForward {
		for i := range of {
			of[i] = payload[2+i] ^ payload[18+i]
		}
	}
	return of
}

// inlets tells for each link what the rules of a core say of it.
func inlets(core *server6.Server) network.Rules {
	return func(link string) network.Inlet {
		in := network.Inlet{Name: link}
		if rule := core.Rule(link); rule != nil {
			in.Clients, in.Rate = true, rule.Rate
		}
		return in
	}
}
