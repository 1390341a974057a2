// Package probing keeps what waits for the results of probes: messages that a core cannot decide on
// before, and delegations whose holder has asked for them from another of its addresses. The memory
// for both is bounded. The package sends nothing: the core sends the probes.
package probing

import (
	"maps"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
)

const (
	// most bounds how many messages wait at once, and how many addresses are probed at once.
	most = 256
	// Longest is how long the result of a probe is waited for, in nanoseconds. After that the
	// probe is forgotten.
	Longest = 5e9
)

// Messages are the messages that wait for the answer to a question about a next hop. Only one
// message waits for each question, so that a message that is sent again takes no memory.
type Messages struct{ by map[binding.Question]*message }

type message struct {
	packet   inbound.Packet
	question binding.Question // with the name that the link has now
	answered map[binding.Question]bool
	until    instant.Instant
}

// Len is how many messages wait.
func (m *Messages) Len() int { return len(m.by) }

// Wait makes a copy of a message wait for the answer to a question. The map answered has the answers
// that the message has waited for before. If Wait returns true, the caller sends the probe. If it
// returns false, another message waits for the same answer or too many messages wait, and the
// caller drops the message (effect.DropProbing).
func (m *Messages) Wait(now instant.Now, p *inbound.Packet, q binding.Question, answered map[binding.Question]bool) bool {
	if m.by == nil {
		m.by = make(map[binding.Question]*message)
	}
	if len(m.by) >= most {
		maps.DeleteFunc(m.by, func(_ binding.Question, w *message) bool { return w.until <= now.Boot })
	}
	if w := m.by[q]; w != nil && now.Boot < w.until || len(m.by) >= most {
		return false
	}
	w := &message{packet: *p, question: q, answered: answered, until: now.Boot + Longest}
	w.packet.Payload = slices.Clone(p.Payload)
	m.by[q] = w
	return true
}

// Rename takes in that a link has another name now. The answers to questions that were asked before
// come with the former name.
func (m *Messages) Rename(link, to string) {
	for _, w := range m.by {
		if w.question.NextHop.Link == link {
			w.question.NextHop.Link = to
		}
	}
}

// Answered takes in the answer to a question. It returns the message that waited for it, with all
// answers that the message has got; nil if none waits. A message that has waited longer than Longest
// is forgotten, since its sender has sent it again by then.
func (m *Messages) Answered(now instant.Now, q binding.Question, keeps bool) (*inbound.Packet, map[binding.Question]bool) {
	w := m.by[q]
	if w == nil {
		return nil, nil
	}
	delete(m.by, q)
	if w.until <= now.Boot {
		return nil, nil
	}
	answered := map[binding.Question]bool{w.question: keeps}
	maps.Copy(answered, w.answered)
	return &w.packet, answered
}
