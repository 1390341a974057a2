// Package attack has no code, only tests: each is one attack on the running
// relay, carried out by a second host that is really there. The victim and one
// attacker share a link, another attacker has a link of its own, a third is on
// the path of the uplink, and a fourth on a link that is neither. A test shows
// that the attack arrived (its counter rose by what was sent), and that the
// victim's route, filter elements and delegation are as they were, its traffic
// flows and its renewal works. SECURITY.md has a row for each. They need root.
package attack
