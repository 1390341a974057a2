package relay

import (
	"fairlead/internal/app/config"
	"fairlead/internal/app/network"
)

// absent tells what the configuration names although no interface has that name now.
func absent(cfg *config.Config, net *network.Network) []string {
	var match []string
	for i := range section(cfg).Links {
		match = append(match, section(cfg).Links[i].Match...)
	}
	return net.Absent("relay6", match)
}
