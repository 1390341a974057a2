package relay

import (
	"fairlead/internal/app/config"
	"fairlead/internal/app/network"
)

// absent is what the configuration names and no interface has as its name now.
func absent(cfg *config.Config, net *network.Network) []string {
	var match []string
	for i := range section(cfg).Links {
		match = append(match, section(cfg).Links[i].Match...)
	}
	return net.Absent("relay6", match)
}
