// Package attack has no code, only tests. Each test is one attack on the running relay, carried
// out by a second host in the network. The victim and one attacker share a link, another attacker
// has a link of its own, a third is on the path of the uplink, and a fourth is on a link that is
// neither client-facing nor an uplink. A test shows that the attack arrived (its counter rose by
// what was sent), that the victim's route, filter elements and delegation are unchanged, that its
// traffic passes, and that its renewal works. SECURITY.md has a row for each test. The tests need
// root.
package attack
