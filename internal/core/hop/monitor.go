package hop

import (
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
)

// Seen is the state that was observed at one moment. A part that could not be read is nil,
// and its error says why. Charon stays nil without an error where no hop is keyed by IKE.
type Seen struct {
	Charon      *Charon
	CharonError string
	Kernel      *Kernel
	KernelError string
	Guard       *Guard
	GuardError  string
	Gate        map[string]string // of each hop why the Gate has it closed, empty if it is open; nil: it was not asked
	Unblocked   string            // why the block policies are not all there; empty: they are
	VRF         map[string]bool   // interfaces of link-local hops that are in a VRF
	Events      []Event           // since the last time, in their order
}

// ActionKind is the kind of an Action of the shell.
type ActionKind uint8

// The actions. Each may be asked for again until it has helped.
const (
	InstallGuard         ActionKind = iota + 1 // the guard table, whole
	InstallBlockPolicies                       // the block policies, all
	InstallManual                              // states and policies of all hops with manual keys
	Load                                       // credentials and connections of all hops with IKE
	Reinstall                                  // one hop's connection: its SAs end, its traps are set anew
	Initiate                                   // one hop's SA for one selector
	Prune                                      // IKE SAs that are too many
)

var actionNames = [...]string{"", "install guard", "install block policies", "install manual keys", "load connections", "reinstall connection", "initiate", "prune"}

func (k ActionKind) String() string { return actionNames[k] }

// Action is one thing to do. Hop is set for Reinstall, Initiate and Prune, Selector
// for Initiate.
type Action struct {
	Kind     ActionKind
	Hop      string
	Selector string
	IKE      []uint32 // strongSwan's numbers of IKE SAs, for Prune
	Why      string   // what was seen
}

// NoteKind is a kind of event for log, metrics and watch.
type NoteKind uint8

// The notes.
const (
	NoteUp      NoteKind = iota + 1 // a hop is protected
	NoteLost                        // a hop is not protected any more: nothing passes
	NoteRekeyed                     // a new ESP SA took an old one's place
	NoteFailed                      // negotiation failed
	NoteMended                      // somebody took away what is ours: it is asked for again
)

var noteNames = [...]string{"", "protected", "unprotected", "rekeyed", "failed", "mended"}

func (k NoteKind) String() string { return noteNames[k] }

// Note is one event of a hop.
type Note struct {
	Kind NoteKind
	Hop  string
	Peer string
	Text string
}

// How long the monitor waits. A dead peer is found by a probe without an answer, a hanging
// negotiation by its age: strongSwan itself would go on for minutes.
const (
	deafAfter   = 4 * time.Second  // of an unanswered dead peer detection
	hangAfter   = 20 * time.Second // of an IKE SA that is not established: a peer may be slow
	courtesy    = 3 * time.Second  // for a peer that we serve to begin by itself
	firstRetry  = 2 * time.Second  // between two attempts of the same kind
	longestWait = 30 * time.Second // after many attempts
)

// maxTold is how many failures, and how many rekeyings, of a hop become notes in a minute:
// whoever sends as the peer can cause any number of them.
const maxTold = 5

// Monitor decides what is to be done so that every hop is protected, and has the state
// that operators see. It compares the observed state of strongSwan, XFRM and the guard
// table with the configuration, and asks again for what is missing, whatever the cause.
type Monitor struct {
	hops    []Hop
	watched map[string]*watched
	guard   pace
	blocks  pace
	missed  int // how often in a row block policies were missing
	manual  pace
	load    pace
}

// watched is the monitor's state of one hop.
type watched struct {
	hop   *Hop
	state State

	up        bool
	aside     string    // what is wrong with its IKE while its SAs carry traffic
	unheard   int       // how often in a row strongSwan did not answer
	rejected  rejection // of the SAs that there are
	lostSA    uint32    // child that the kernel lacked the last time
	probing   map[uint32]instant.Instant
	probed    [2]uint64 // packets that had passed when probing began: in, out
	hanging   map[uint32]instant.Instant
	missing   instant.Instant // since when there is no SA; 0: there is
	twins     twins
	reinstall pace
	initiate  pace
	failures  telling
	rekeyings telling

	children map[uint32]ChildSA // as they were last seen
	past     [2]Traffic         // of children that are gone: in, out
}

// pace is the time between attempts, which grows with their number.
type pace struct {
	after instant.Instant
	wait  time.Duration
}

// due reports whether an attempt may be made now, and counts it as made.
func (p *pace) due(now instant.Instant) bool {
	if now < p.after {
		return false
	}
	p.wait = min(max(2*p.wait, firstRetry), longestWait)
	p.after = now.After(p.wait)
	return true
}

func (p *pace) reset() { *p = pace{} }

// NewMonitor watches hops with distinct names.
func NewMonitor(hops []Hop) *Monitor {
	m := &Monitor{}
	m.Reconfigure(hops)
	return m
}

// Reconfigure replaces the hops. A hop whose pair of addresses stays has its state as
// before.
func (m *Monitor) Reconfigure(hops []Hop) {
	old := m.watched
	m.hops, m.watched = slices.Clone(hops), make(map[string]*watched, len(hops))
	m.guard.reset()
	m.blocks.reset()
	m.manual.reset()
	m.load.reset()
	counts := make(map[netip.Addr]string) // the hop that has the guard's counter, by the peer's address
	for i := range m.hops {
		h := &m.hops[i]
		w := old[h.Name]
		if w == nil || w.hop.Local != h.Local || w.hop.Remote != h.Remote {
			w = &watched{probing: make(map[uint32]instant.Instant), hanging: make(map[uint32]instant.Instant), children: make(map[uint32]ChildSA)}
			w.state.Problem = "not looked at yet"
		}
		w.hop = h
		w.state.Hop, w.state.Peer, w.state.Mode = h.Name, h.Peer, h.Mode()
		w.state.Local, w.state.Remote = h.Local.WithZone(h.Link), h.Remote.WithZone(h.Link)
		if w.state.DroppedAt = counts[w.state.Remote]; w.state.DroppedAt == "" {
			counts[w.state.Remote] = h.Name
		}
		w.initiate.reset()
		w.reinstall.reset()
		m.watched[h.Name] = w
	}
}

// Mode is how the hop is keyed, in words.
func (h *Hop) Mode() string {
	switch {
	case h.Manual != nil:
		return "manual"
	case h.IKE.Public():
		return "ike certificate"
	}
	return "ike psk"
}

// States are all hops as operators see them, in the order of the configuration.
func (m *Monitor) States() []State {
	states := make([]State, 0, len(m.hops))
	for i := range m.hops {
		s := m.watched[m.hops[i].Name].state
		s.Warnings = slices.Clone(s.Warnings)
		states = append(states, s)
	}
	return states
}

// Failed takes in that an action could not be carried out.
func (m *Monitor) Failed(now instant.Now, a Action, text string) {
	for name, w := range m.watched {
		concerns := a.Hop == name
		switch a.Kind {
		case InstallGuard, InstallBlockPolicies:
			concerns = true
		case InstallManual:
			concerns = w.hop.Manual != nil
		case Load:
			concerns = w.hop.IKE != nil
		}
		if concerns {
			w.fail(now, a.Kind.String()+": "+text)
		}
	}
}

func (w *watched) fail(now instant.Now, text string) {
	w.state.LastError, w.state.LastErrorAt = text, now.Wall
}

// Observe compares the observed state with the configuration. It returns actions and
// notes.
func (m *Monitor) Observe(now instant.Now, seen *Seen) (actions []Action, notes []Note) {
	for _, e := range seen.Events {
		if w := m.watched[e.Hop]; w != nil {
			notes = w.take(now, e, notes)
		}
	}
	actions = m.ObserveGuard(now, seen)
	guard := guardProblem(seen)
	load, manual := "", ""
	v := newView(seen)
	for i := range m.hops {
		w := m.watched[m.hops[i].Name]
		var problem string
		var more []Action
		w.state.Warnings = w.state.Warnings[:0]
		if w.hop.Link != "" && seen.VRF[w.hop.Link] {
			w.state.Warnings = append(w.state.Warnings, WarnVRF)
		}
		if m.missed > 1 && seen.Unblocked != "" {
			w.state.Warnings = append(w.state.Warnings, WarnBlockPolicies+seen.Unblocked)
		}
		if w.hop.Manual != nil {
			problem = w.follow(now, w.observeManual(now, v), seen)
			if problem != "" && manual == "" && seen.Kernel != nil {
				manual = problem
			}
		} else {
			problem, more = w.observeIKE(now, v)
			lacks := problem
			problem = w.follow(now, problem, seen)
			more = append(more, w.crowd(v)...)
			if seen.Charon != nil && lacks == notLoaded {
				load = lacks
			}
		}
		if guard != "" {
			problem = guard
		}
		w.countRejected(now, v)
		if seen.Guard != nil {
			dropped := seen.Guard.Hops[w.hop.Name]
			w.state.DroppedIn, w.state.DroppedOut = dropped.In, dropped.Out
		}
		actions = append(actions, more...)
		notes = w.setState(now, problem, more, notes)
	}
	if load == "" {
		m.load.reset()
	} else if m.load.due(now.Boot) {
		actions = append(actions, Action{Kind: Load, Why: load})
	}
	if manual == "" {
		m.manual.reset()
	} else if m.manual.due(now.Boot) {
		actions = append(actions, Action{Kind: InstallManual, Why: manual})
	}
	return actions, notes
}

// follow makes the state of a hop agree with the gate: while the gate is open messages
// pass in ESP, whatever strongSwan reports; while it is closed none pass.
func (w *watched) follow(now instant.Now, problem string, seen *Seen) string {
	why, asked := seen.Gate[w.hop.Name]
	switch {
	case asked && why != "" && problem == "":
		problem = why
	case asked && why == "" && problem != "" && w.hop.IKE != nil:
		if w.state.Warnings = append(w.state.Warnings, WarnIKE+problem); problem != w.aside {
			w.aside = problem
			w.fail(now, problem)
		}
		return ""
	}
	w.aside = ""
	return problem
}

// ObserveGuard is the part of Observe that must not wait for anything else: it looks at
// the two barriers alone, and reads Seen's Guard, GuardError and Unblocked. Each barrier
// is enough alone; only the guard's absence is a problem of the hops, because it has the
// counters.
func (m *Monitor) ObserveGuard(now instant.Now, seen *Seen) (actions []Action) {
	if seen.Unblocked == "" {
		m.missed = 0
		m.blocks.reset()
	} else {
		m.missed++
		if m.blocks.due(now.Boot) {
			actions = append(actions, Action{Kind: InstallBlockPolicies, Why: seen.Unblocked})
		}
	}
	problem := guardProblem(seen)
	if problem == "" {
		m.guard.reset()
		return actions
	}
	if !m.guard.due(now.Boot) {
		return actions
	}
	for _, w := range m.watched {
		if w.up { // it may be mended before the hops are looked at
			w.fail(now, problem)
		}
	}
	return append(actions, Action{Kind: InstallGuard, Why: problem})
}

func guardProblem(seen *Seen) string {
	switch {
	case seen.GuardError != "":
		return seen.GuardError
	case seen.Guard == nil || !seen.Guard.Intact:
		return "the guard table is not as it was installed"
	}
	return ""
}

// setState sets a hop's state from its problem, and makes the notes.
func (w *watched) setState(now instant.Now, problem string, actions []Action, notes []Note) []Note {
	note := func(k NoteKind, text string) {
		notes = append(notes, Note{Kind: k, Hop: w.hop.Name, Peer: w.hop.Peer, Text: text})
	}
	for _, a := range actions {
		if a.Kind == Reinstall {
			note(NoteMended, a.Why)
		}
	}
	w.state.Problem, w.state.Protected = problem, problem == ""
	switch {
	case problem == "" && !w.up:
		w.up = true
		note(NoteUp, w.state.Mode+", "+w.state.Algorithms)
	case problem != "" && w.up:
		w.up = false
		w.fail(now, problem)
		note(NoteLost, problem)
	}
	return notes
}

// take takes in an event of strongSwan.
func (w *watched) take(now instant.Now, e Event, notes []Note) []Note {
	switch e.Kind {
	case EventChildRekeyed:
		w.state.Rekeys++
		if w.rekeyings.may(now.Boot) {
			return append(notes, Note{Kind: NoteRekeyed, Hop: w.hop.Name, Peer: w.hop.Peer, Text: e.Child})
		}
	case EventFailed:
		again := w.state.LastError == e.Text
		w.fail(now, e.Text)
		if !again && w.failures.may(now.Boot) {
			return append(notes, Note{Kind: NoteFailed, Hop: w.hop.Name, Peer: w.hop.Peer, Text: e.Text})
		}
	}
	return notes
}

// telling counts the notes of one minute.
type telling struct {
	since instant.Instant
	told  int
}

// may counts a note, and reports whether it is within maxTold.
func (t *telling) may(now instant.Instant) bool {
	if t.told == 0 || now >= t.since.After(time.Minute) {
		*t = telling{since: now}
	}
	t.told++
	return t.told <= maxTold
}

// Problems of a hop, as operators read them.
const (
	notLoaded  = "strongSwan has not got the connection"
	noPolicy   = "a policy is missing in the kernel"
	noSA       = "no SA: not negotiated yet"
	noState    = "an SA is missing in the kernel"
	deaf       = "the peer does not answer"
	noManual   = "a manual SA or policy is missing in the kernel"
	noKernel   = "the kernel's SAs cannot be read: "
	noCharon   = "strongSwan cannot be reached: "
	notWatched = "strongSwan was not asked"
)

// WarnVRF is the standing warning about a link-local hop in a VRF, where Linux 6.1 does
// not find the receiver of what came out of ESP.
const WarnVRF = "link-local addresses in a VRF: Linux 6.1 loses what comes in ESP (take global addresses, or the interface out of the VRF)"

// WarnIKE begins the warning that the SAs carry traffic but something is wrong with IKE.
const WarnIKE = "messages pass in ESP, but not for ever: "

// WarnBlockPolicies begins the warning that the second barrier is not whole.
const WarnBlockPolicies = "the kernel's block policies are not in place, and the guard table alone holds messages in clear back: "

// hasPolicies reports whether the kernel requires ESP for all traffic of the hop.
func (w *watched) hasPolicies(v *view) bool {
	for _, s := range w.hop.Selectors() {
		if !v.requires(w.hop, s) {
			return false
		}
	}
	return true
}

// begins reports whether it is for us to negotiate: the relay begins, because it sends
// first; the server begins only after a while.
func (w *watched) begins(now instant.Instant) bool {
	return w.hop.Role == trust.Server || now >= w.missing.After(courtesy)
}
