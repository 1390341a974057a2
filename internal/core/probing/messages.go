// Package probing has what waits for the answers to probes of next hops: the messages that a core
// cannot decide on before, and the delegations whose holder has asked from another of its
// addresses. The memory of both is bounded. The package asks nobody: a core sends the probes.
package probing

import (
	"maps"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
)

const (
	// most is how many messages wait at once, and how many addresses are asked at once.
	most = 256
	// Longest is how long an answer is waited for, in nanoseconds. A probe that has no result
	// by then is forgotten.
	Longest = 5e9
)

// Messages are those that wait for the answer to a question about a next hop. For each question
// one message waits, so that repeated messages cost nothing.
type Messages struct{ by map[binding.Question]*message }

type message struct {
	packet   inbound.Packet
	question binding.Question // with the name that the link has now
	answered map[binding.Question]bool
	until    instant.Instant
}

// Len is how many messages wait.
func (m *Messages) Len() int { return len(m.by) }

// Wait has a message wait for the answer to a question. Answered has the answers that the message
// has waited for before. Wait reports whether the message waits, and the question is to be asked.
// Otherwise another message waits for the same answer, or too many wait, and the message is to be
// dropped (effect.DropProbing).
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

// Rename takes in that a link has another name now. Questions that were asked before are answered
// by the former name.
func (m *Messages) Rename(link, to string) {
	for _, w := range m.by {
		if w.question.NextHop.Link == link {
			w.question.NextHop.Link = to
		}
	}
}

// Answered takes in the answer to a question, and returns the message that waited for it, with all
// answers that it has got; nil if none waits. A message that has waited too long is forgotten: its
// sender has sent it again.
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
