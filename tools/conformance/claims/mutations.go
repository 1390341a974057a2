package claims

// Mutation is a small change of the code that breaks one requirement. With the change, the tests
// of its row must fail.
type Mutation struct {
	Row     string // of RFC 8987; "": it breaks what no row describes, and Test is the whole name of a test
	What    string // in words
	File    string // path from the root of the tree
	From    string // occurs in the file exactly once
	To      string
	Package string // the package whose tests of the row must fail
	Test    string // if all tests would take too long, one of them: the part of its name after the row
}

const (
	relay = "./internal/core/relay6"
	four  = "./internal/core/relay4"
	serve = "./internal/core/server6"
	hops  = "./internal/core/hop"
	dir   = "internal/core/"
)

// Mutations returns one mutation or more for each requirement of RFC 8987 that is claimed.
func Mutations() []Mutation { return mutations }

var mutations = []Mutation{
	{
		"G-1", "the last octet of a message is lost", dir + "relay6/wrap.go",
		"dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, w.packet.Payload)",
		"dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, w.packet.Payload[:len(w.packet.Payload)-1])", relay, "",
	},
	{
		"G-2", "only the first prefix of an IA_PD is learned", dir + "relay6/learn.go",
		"found = append(found, lease{kind: kindOf(code), iaid: ia.IAID, prefix: p, preferred: preferred, valid: valid, exclude: excluded(inner, b)})",
		"found = append(found, lease{kind: kindOf(code), iaid: ia.IAID, prefix: p, preferred: preferred, valid: valid, exclude: excluded(inner, b)})\nbreak", relay, "",
	},
	{
		"G-3", "only the first IA_PD is learned", dir + "relay6/learn.go",
		"r.events = r.table.Learn(r.events, now, r.proof(ls.grant(g), l), *terms)",
		"if ls.iaid == leases[0].iaid {\nr.events = r.table.Learn(r.events, now, r.proof(ls.grant(g), l), *terms)\n}", relay, "",
	},
	{
		"G-4", "a DUID is refused on a second interface", dir + "delegation/judge.go",
		"case terms.Policy.UniqueDUID && t.heldElsewhere(g, s):", "case t.heldElsewhere(g, s):", relay, "",
	},
	{
		"G-5", "the limit per client is not the configured one", dir + "delegation/limits.go",
		"case held+n > p.ClientLimit:", "case held+n > DefaultClientLimit:", relay, "",
	},
	{
		"G-6", "there is no limit per port", dir + "delegation/limits.go",
		"case onLink+n > p.LinkLimit:", "case false:", relay, "",
	},
	{
		"G-7", "the default limit is 7", dir + "delegation/policy.go",
		"const DefaultClientLimit = 8", "const DefaultClientLimit = 7", relay, "",
	},
	{
		"G-8", "a delegation ends with its preferred lifetime", dir + "delegation/grant.go",
		"binding.Lifetimes(now, g.Preferred, g.Lifetime)", "binding.Lifetimes(now, g.Preferred, g.Preferred)", relay, "",
	},
	{
		"G-9", "a Release ends nothing", dir + "relay6/forward.go",
		"		r.release(now, m, r.named(now, l, binding.DUID(client), source, host), eff)\n", "", relay, "",
	},
	{
		"R-1", "a route stays when its lease ends", dir + "ledger/commit.go",
		"d.Host = l.deleted(d.Host, &e.Old)\n		delete(l.uninstalled, PlaceOf(&e.Old))",
		"delete(l.uninstalled, PlaceOf(&e.Old))", relay, "",
	},
	{
		"R-2", "every route is a /64", dir + "hoststate/routes.go",
		"return newID(d.prefix, table, rec.policy.Metric, DefaultMetric)",
		"return newID(packed{d.prefix.addr, 64}, table, rec.policy.Metric, DefaultMetric)", relay, "",
	},
	{
		"R-3", "a delegated prefix is not let through", dir + "hoststate/elements.go",
		"case rec.policy.Filter != FilterOff:", "case rec.policy.Filter == FilterOff:", relay, "",
	},
	{
		"R-4", "a route stays when its lease ends, and so does its announcement", dir + "ledger/commit.go",
		"d.Host = l.deleted(d.Host, &e.Old)\n		delete(l.uninstalled, PlaceOf(&e.Old))",
		"delete(l.uninstalled, PlaceOf(&e.Old))", "./internal/system/routing", "BIRDByProtocolSeesPrefixesComeAndGo",
	},
	{
		"R-5", "the policy per client is not heeded", dir + "hoststate/elements.go",
		"case rec.policy.Loop == LoopForward || d.exempt:", "case rec.policy.Loop == LoopForward:", relay, "",
	},
	{
		"S-1", "delegations are not kept", dir + "ledger/commit.go",
		"		d.Keep = append(d.Keep, l.keepOp(now, &e.New))\n", "", relay, "",
	},
	{
		"S-2", "the route goes with its link", dir + "hoststate/routes.go",
		"if !on.present || !on.Up || w.refused || w.unproved {\n		return 0, nextHop{}, true",
		"if !on.present || !on.Up || w.refused || w.unproved {\n		return 0, nextHop{}, false", relay, "",
	},
	{
		"O-1", "the IAID is not on view", dir + "delegation/grant.go",
		"Client: g.Client, IAID: g.IAID, NoIAID: g.NoIAID,", "Client: g.Client, NoIAID: g.NoIAID,", relay, "",
	},
	{
		"O-2", "a client's leases are cleared on every port", dir + "delegation/clear.go",
		`s.All || s.Link == "" || s.Link == link`, "true", relay, "",
	},
	{
		"O-3", "an unsynchronised clock is believed", dir + "binding/restore.go",
		"known && now.Synced && !now.Wall.Before(lastWall) {", "known && !now.Wall.Before(lastWall) {", relay, "",
	},
	{
		"S4", "unknown types are dropped", dir + "relay6/forward.go",
		"case t.FromServerOnly():", "case t.FromServerOnly() || t > dhcp6.AddrRegReply:", relay, "",
	},
	{
		"R-3", "a line that comes after another is taken for it", dir + "hoststate/line.go",
		"s.lines++", "s.lines = 1", relay, "PointToPointNameUsedAgain",
	},
	{
		"", "a policy that goes does not close the gate", dir + "hop/gate.go",
		"if h.wants(e.Policy.selector()) {", "if false {", hops, "TestGateClosesAtOnce",
	},
	{
		"", "what the kernel told and was not heard does not close the gate", dir + "hop/gate.go",
		"		h.close(lostEvent)\n", "", hops, "TestGateClosesAtOnce",
	},
	{
		"", "a look opens a hop although the kernel told something meanwhile", dir + "hop/gate.go",
		"h.ripe = !h.open && h.told <= began", "h.ripe = !h.open", hops, "TestGateClosesAtOnce",
	},
	{
		"", "of equal addresses the newest is the link-address", dir + "links/address.go",
		"slices.Compare(is[:], least[:]) <= 0", "slices.Compare(is[:], least[:]) < 0", relay, "TestLinkAddressIsTheBest",
	},
	{
		"", "what cannot be answered is forwarded", dir + "relay6/forward.go",
		"return !l.linkLocal && rank(to) == rankLinkLocal }", "return false }", relay, "TestNoStateWithoutAnAnswer",
	},
	{
		"", "a client with a global address is not forwarded without a link-local one of ours", dir + "relay6/forward.go",
		"return !l.linkLocal && rank(to) == rankLinkLocal }", "return !l.linkLocal }", relay, "TestNoStateWithoutAnAnswer",
	},
	{
		"", "a host's limit counts once, also for what was not installed", dir + "delegation/excess.go",
		">= 2*p.HostLimit:", ">= p.HostLimit:", relay, "TestNobodyDrainsTheServersPool",
	},
	{
		"", "a link's limit counts once, also for what was not installed", dir + "delegation/excess.go",
		"t.LinkLen(link, k)+t.excess.onLink[on] >= 2*p.LinkLimit:", "t.LinkLen(link, k)+t.excess.onLink[on] >= p.LinkLimit:", relay, "TestNobodyDrainsTheServersPool",
	},
	{
		"", "what a link was given and was not installed does not count", dir + "delegation/excess.go",
		"t.LinkLen(link, k)+t.excess.onLink[on] >=", "t.LinkLen(link, k) >=", relay, "TestNobodyDrainsTheServersPool",
	},
	{
		"", "what a host was given and was not installed does not count", dir + "delegation/excess.go",
		"t.HostLen(link, host, k)+t.excess.ofHost[excessHost{on, host}] >=", "t.HostLen(link, host, k) >=", relay, "TestNobodyDrainsTheServersPool",
	},
	{
		"", "a route that stands for what is covered wins against a delegation of a high metric", dir + "hoststate/routes.go",
		"newID(pack(c.Prefix), rec.Table, StandingMetric, 0)", "newID(pack(c.Prefix), rec.Table, AggregateMetric, 0)", relay, "TestExcludedIsRoutedToItsClient",
	},
	{
		"", "what is excluded and another client's is unreachable in the link's own table", dir + "hoststate/routes.go",
		"				continue // a client may have it, by a route in the other table\n", "", relay, "TestCoveredWithATableOfRoutes",
	},
	{
		"", "what is reserved for links is forgotten in a panic", dir + "relay6/succeed.go",
		"	r.expectAs(old)\n", "", relay, "TestCoveredLinkIsDownMeanwhile",
	},
	{
		"", "after a panic a line proves what another client had", dir + "relay6/line.go",
		"old.Client != d.Client || ", "", relay, "TestSuccessorHasAnotherClientInTheStore",
	},
	{
		"", "what the server excludes does not count", dir + "relay6/reserved.go",
		"if own && g.Exclude.IsValid() &&", "if false && g.Exclude.IsValid() &&", relay, "TestDelegationsThatCoverPrefixes",
	},
	{
		"", "a link that is down is in the way of nothing", dir + "relay6/lost.go",
		"r.hasLost(l, p) && (l.gone || !r.lost[l.Name].all)", "r.hasLost(l, p)", relay, "TestLostPrefixIsNoObstacle",
	},
	{
		"", "what another link has within a lost prefix ends that", dir + "relay6/lost.go",
		"r.reserved.around(l.VRF, p)", "slices.Concat(r.reserved.around(l.VRF, p), r.reserved.within(l.VRF, p))", relay, "TestPartOfLostPrefixIsOnAnotherLink",
	},
	{
		"", "a prefix that does not come back with the others is waited for as long as all", dir + "relay6/lost.go",
		"lost.all && !all || ", "", relay, "TestLinkHasSomeOfItsPrefixes",
	},
	{
		"", "a link that is renumbered keeps what it had", dir + "relay6/lost.go",
		"if l.rule != nil && !slices.ContainsFunc(own, func(p netip.Prefix) bool { return !l.staked(p) }) {", "if l.rule != nil {", relay, "TestCoveredLinkIsMadeAnew",
	},
	{
		"", "what an old holder has again after a grant was taken back counts as unused", dir + "ledger/undo.go",
		"		ops = l.cover(l.host.Put(ops, l.core.ForKernel(d.old)), d.old)\n",
		"		wanted := l.core.ForKernel(d.old)\n		wanted.New = true\n		ops = l.cover(l.host.Put(ops, wanted), d.old)\n", "./internal/core/ledger", "TestTakenBackCountsAsUsed",
	},
	{
		"", "a prefix that its holder has given up is not taken without a question", dir + "delegation/grant.go",
		"return old.Standing.GivenUp && g.Client != old.Client\n", "return false\n", relay, "TestGivenUp",
	},
	{
		"", "whether the holder uses its prefix is never asked", dir + "delegation/grant.go",
		"		q.Prefix = old.Prefix\n", "", relay, "TestHolderThatIsThereAndUsesNothing",
	},
	{
		"", "an ACK leaves before the filter lets its client pass", dir + "relay4/kernel.go",
		"	send.After = r.ledger.Tell(", "	_ = r.ledger.Tell(", four, "TestFilterFollowsLeases",
	},
	{
		"", "an ACK leaves although its lease could not be kept", dir + "relay4/kernel.go",
		"send.Extends = !binding.Grants(r.events)", "send.Extends = true", four, "TestStrictLeaseThatIsNotKept",
	},
	{
		"", "an answer to who was there before proves a lease on a line", dir + "relay4/kernel.go",
		"case known && began.line == l.line:", "case known:", four, "TestStrictOnPointToPointLinks",
	},
	{
		"", "a lease is routed where its address is another client's", dir + "ledger/ledger.go",
		"if d.VRF != vrf {\n\t\t\tops = l.deleted", "if false {\n\t\t\tops = l.deleted", four, "TestStrictLinkIsRenamedAndMoved",
	},
	{
		"", "a lease that is restored is routed where its address is another client's", dir + "hoststate/state.go",
		"return there && now != vrf", "return there && now != vrf && false", four, "TestStrictLinkIsRenamedAndMoved",
	},
	{
		"", "a request keeps its hops", dir + "relay4/wrap.go",
		"w.message.Hops()+1)", "w.message.Hops())", four, "TestRFC1542_4_1_1h_HopsIncremented",
	},
	{
		"", "17 hops pass", dir + "relay4/request.go",
		"case m.Hops() > l.rule.HopCount:", "case m.Hops() > l.rule.HopCount+1:", four, "TestRFC1542_4_1_1b_SixteenHops",
	},
	{
		"", "a broadcast address is filled in as giaddr", dir + "relay4/links.go",
		"case !isUnicast(a) || isBroadcastIn(p, a) || ", "case !isUnicast(a) || ", four, "TestRFC1542_4_1_1g_GIAddrIsNoBroadcastAddress",
	},
	{
		"", "an address that is missing is giaddr", dir + "relay4/links.go",
		"l.own = r.links.PresentAddress(l)", "l.own = r.links.OwnAddress(l)", four, "TestGIAddrChanges",
	},
	{
		"", "a giaddr in a subnet of ours names the link", dir + "relay4/reply.go",
		"return l != nil && l.rule != nil && r.links.IsCalled(l, giaddr)", "return l != nil && l.rule != nil", four, "TestRFC1542_4_1_2a_GIAddrOfNobody",
	},
	{
		"", "a NAK is unicast where the server has not set the flag", dir + "relay4/reply.go",
		" || m.Type() == dhcp4.NAK", "", four, "TestRFC2131_4_3_2a_NAKIsBroadcast",
	},
	{
		"", "an option 82 in the file field passes an untrusted link", dir + "relay4/request.go",
		`informed := has(m, dhcp4.OptionAgentInformation)
`, `_, informed, _ := m.AgentInformation(nil)
`, four, "TestRFC3046_2_1d_UntrustedCircuit",
	},
	{
		"", "a second option 82 is added on a trusted link", dir + "relay4/request.go",
		"adds == Add && !informed", "adds == Add", four, "TestRFC3046_2_1e_TrustedCircuit",
	},
	{
		"", "the option makes a message larger than the MTU", dir + "relay4/links.go",
		"min(mtu-ipHeaders, maxPayload)", "min(mtu, maxPayload)", four, "TestRFC3046_2_1g_MTU",
	},
	{
		"", "a bridge's option 82 is taken out of replies", dir + "relay4/reply.go",
		`		return began.added
`, `		return true
`, four, "TestRFC3046_2_1h_RemovedFromReplies",
	},
	{
		"", "an address of ours that two interfaces have is no giaddr of ours", dir + "relay4/request.go",
		"r.links.IsKnown(m.GIAddr())", "r.links.IsUnique(m.GIAddr())", four, "TestRFC3046_2_1_1a_SpoofedGIAddr",
	},
	{
		"", "a copied circuit-id leads a reply to another link", dir + "relay4/reply.go",
		`	if all.foreign {
`, `	if false {
`, four, "TestCopiedCircuitID",
	},
	{
		"", "a copied transaction leads a reply to another link", dir + "relay4/pending.go",
		`		o.contested = o.at.After(answerTime)
`, "", four, "TestCopiedTransaction",
	},
	{
		"", "a broadcast in the subnet counts as unicast", dir + "relay4/wrap.go",
		"if r.links.IsKnown(p.Dest) {", "if p.Dest != limitedBroadcast {", four, "TestRFC5010_4a_InEveryOption",
	},
	{
		"", "clients renew at giaddr", dir + "relay4/wrap.go",
		`	if l.own.IsValid() {
`, `	if false {
`, four, "TestRFC5107_4a_Override",
	},
	{
		"", "a server that says that it did not heed the VPN is believed", dir + "relay4/reply.go",
		"!said || ignored || ", "!said || ignored && false || ", four, "TestRFC6607_5c_ResponseIsChecked",
	},
	{
		"", "a message without the relay-id passes where that is required", dir + "relay4/wrap.go",
		"r.cfg.RequireRelayID {", "false {", four, "TestRFC6925_6_2a_RefusesWithoutIdentifier",
	},
	{
		"", "another source port is used without being told", dir + "relay4/request.go",
		"\t\tif b.informed {", "\t\tif true {", four, "TestRFC8357_5_1_SourcePort",
	},
	{
		"", "of two message types the relay sees none", dir + "relay4/request.go",
		`	case t == 0 && has(m, dhcp4.OptionMessageType):
`, `	case false:
`, four, "TestTypesOfClients",
	},
	{
		"", "a Reply leaves although its lease could not be kept", dir + "server6/reply.go",
		"out.Extends = !binding.Grants(s.events)", "out.Extends = true", serve, "TestGrantThatIsNotKept",
	},
	{
		"", "a grant that is not kept stays taken in its pool", dir + "server6/server.go",
		" TakenBack: s.takenBack,", "", serve, "TestGrantThatIsNotKept",
	},
	{
		"", "an answer that is not told takes a lease from its client", dir + "server6/server.go",
		" Stays: s.stays,", "", serve, "TestReplacementThatIsNotKept",
	},
	{
		"", "another client gets a lease before its holder is told to be without", dir + "server6/pick.go",
		"case s.ledger.Untold(p):", "case false:", serve, "TestReplacementThatIsNotKept",
	},
	{
		"", "a client that got nothing is remembered", dir + "server6/reconfigure.go",
		" || s.first(r) == nil", "", serve, "TestFloodOfRequests",
	},
	{
		"", "a copied DUID takes the lease of a host that answers", dir + "server6/holder.go",
		"if r.policy.Move != delegation.MoveProbe {", "if r.policy.Move <= delegation.MoveDeny {", serve, "TestCopiedDUID",
	},
	{
		"", "a copied DUID gets another prefix in the place of one that stays", dir + "server6/learn.go",
		"case x.refused:", "case false:", serve, "TestCopiedDUIDReplacesNothing",
	},
	{
		"", "a client's message to a unicast address is answered", dir + "server6/request.go",
		"} else if !r.p.Dest.IsMulticast() {", "} else if false {", serve, "TestRFC8415_16d_Unicast",
	},
	{
		"", "a relayed message is believed whoever sends it", dir + "server6/request.go",
		"if !protected {", "if !protected && false {", serve, "TestRFC8213_3p_RelayAgentsThatAreNotBelieved",
	},
	{
		"", "an address of another link is passed over in a Request", dir + "server6/assign.go",
		"if t == dhcp6.Request && x.kind == binding.Address", "if false && x.kind == binding.Address", serve, "TestRFC8415_18_3_2b_NotOnLink",
	},
	{
		"", "a Rebind makes bindings that another server may have", dir + "server6/assign.go",
		"mayAdd := t != dhcp6.Rebind || known || r.subnet.RapidCommit", "mayAdd := t != 0 || known", serve, "TestRFC8415_18_3_5h_RebindOfAnUnknownClient",
	},
	{
		"", "an Advertise names what its client has lost", dir + "server6/reply.go",
		"case l.valid == 0 && !r.tells() || !l.prefix.IsValid():", "case !l.prefix.IsValid():", serve, "TestRFC8415_18_3_2f_OnlyWhatIsAssigned",
	},
	{
		"", "T1 and T2 are those of the first lease", dir + "server6/reply.go",
		"shortest = min(shortest, l.preferred)", "shortest = l.preferred\nbreak", serve, "TestRFC8415_18_3_2g_SameTimesInAllIAs",
	},
	{
		"", "a declined address is given to the next client", dir + "server6/quarantine.go",
		"	s.quarantine.decline(p, d)\n	s.networks.take(p)\n	s.ledger", "	s.quarantine.decline(p, d)\n	s.ledger", serve, "TestRFC8415_18_3_8a_Decline",
	},
	{
		"", "what is reserved others get", dir + "server6/network.go",
		"			pl.Take(p)\n			pl.reserved", "			pl.reserved", serve, "TestReservedIsKeptFree",
	},
	{
		"", "what has expired waits for nobody", dir + "server6/learn.go",
		"			s.await(now.Boot.After(expiredFor), &e.Old, false)", "			s.networks.free(e.Old.Prefix)", serve, "TestExpiredLeaseWaitsForItsClient",
	},
	{
		"", "a client without Prefix Exclude gets what has an exclusion", dir + "server6/pick.go",
		"case p.exclude.IsValid() && !r.oro.Contains(dhcp6.OptionPDExclude):", "case false:", serve, "TestRFC6603_5_2a_Exclude",
	},
	{
		"", "a length that clients ask for is not heeded", dir + "server6/pick.go",
		"hint, pools := r.missing(x), r.network.pools[x.kind]", "hint, pools := 0, r.network.pools[x.kind]", serve, "TestRFC8168_3_2a_LengthHint",
	},
	{
		"", "a Relay-reply comes back without the interface-id", dir + "server6/reply.go",
		"case c == dhcp6.OptionInterfaceID, c == dhcp6.OptionRelayPort,", "case c == dhcp6.OptionRelayPort,", serve, "TestRFC8415_19_3a_SameRelayAgents",
	},
	{
		"", "a relay-id counts with the interface-id of another relay agent", dir + "server6/reservation.go",
		"return has(m, dhcp6.OptionRelayID, v.RelayID) && has(m, dhcp6.OptionInterfaceID, v.InterfaceID)",
		"return has(m, dhcp6.OptionRelayID, v.RelayID)", serve, "TestReservationsByEachIdentifier",
	},
}
