package ipsec

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/strongswan/govici/vici"

	"fairlead/internal/core/hop"
)

const (
	eventRoom = 256  // events that wait for the reader
	burstRoom = 1024 // events of one kind that wait for room in there; above that, events are lost
)

// Events are what happens to the owner's connections until ctx ends, which closes the channel.
// When charon restarts, events go on. A reader that is slow loses events; Observe tells the
// present state.
func (s *Strongswan) Events(ctx context.Context) <-chan hop.Event {
	out := make(chan hop.Event, eventRoom)
	var all sync.WaitGroup
	read := map[string]func(*vici.Message) []hop.Event{
		"ike-updown":   s.ikeUpDown,
		"child-updown": s.childUpDown,
		"ike-rekey":    s.ikeRekey,
		"child-rekey":  s.childRekey,
		"log":          newFailures(s).read,
	}
	// There is one session for each kind of event: the library locks up when a session asks for
	// two.
	for name, events := range read {
		all.Go(func() { s.follow(ctx, name, events, out) })
	}
	go func() {
		all.Wait()
		close(out)
	}()
	return out
}

// follow keeps a session open for one kind of event.
func (s *Strongswan) follow(ctx context.Context, name string, read func(*vici.Message) []hop.Event, out chan<- hop.Event) {
	for {
		err := s.listen(ctx, name, read, out)
		if ctx.Err() != nil {
			return
		}
		s.log.Debug("strongswan: events are lost until it is back", slog.String("event", name), slog.Any("error", err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.pause):
		}
	}
}

// listen hands events on until the session ends.
func (s *Strongswan) listen(ctx context.Context, name string, read func(*vici.Message) []hop.Event, out chan<- hop.Event) error {
	first, cancel := context.WithTimeout(ctx, s.session.limit)
	defer cancel()
	v, conn, err := connect(first, s.session.socket, false)
	if err != nil {
		return err
	}
	defer v.Close()
	// Subscribe takes no context: its connection is closed when its time is over.
	stop := context.AfterFunc(first, func() { _ = conn.Close() })
	heard := make(chan vici.Event, burstRoom)
	v.NotifyEvents(heard)
	if err := v.Subscribe(name); err != nil {
		return err
	}
	stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-heard:
			if !ok {
				return errClosed
			}
			for _, one := range read(e.Message) {
				select {
				case out <- one:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
	}
}

func updown(m *vici.Message, up, down hop.EventKind) hop.EventKind {
	if text(m, "up") == "yes" {
		return up
	}
	return down
}

func (s *Strongswan) ikeUpDown(m *vici.Message) (all []hop.Event) {
	for _, name := range s.sections(m) {
		all = append(all, hop.Event{Hop: s.hopOf(name), Kind: updown(m, hop.EventIKEUp, hop.EventIKEDown)})
	}
	return all
}

func (s *Strongswan) ikeRekey(m *vici.Message) (all []hop.Event) {
	for _, name := range s.sections(m) {
		all = append(all, hop.Event{Hop: s.hopOf(name), Kind: hop.EventIKERekeyed})
	}
	return all
}

func (s *Strongswan) childUpDown(m *vici.Message) (all []hop.Event) {
	for _, name := range s.sections(m) {
		children := section(section(m, name), "child-sas")
		for _, child := range children.Keys() {
			all = append(all, hop.Event{
				Hop:   s.hopOf(name),
				Kind:  updown(m, hop.EventChildUp, hop.EventChildDown),
				Child: text(section(children, child), "name"),
			})
		}
	}
	return all
}

func (s *Strongswan) childRekey(m *vici.Message) (all []hop.Event) {
	for _, name := range s.sections(m) {
		children := section(section(m, name), "child-sas")
		for _, child := range children.Keys() {
			all = append(all, hop.Event{Hop: s.hopOf(name), Kind: hop.EventChildRekeyed, Child: child})
		}
	}
	return all
}

// sections are those names in an event that are connections of ours.
func (s *Strongswan) sections(m *vici.Message) (names []string) {
	for _, key := range m.Keys() {
		if _, is := m.Get(key).(*vici.Message); is && s.ours(key) {
			names = append(names, key)
		}
	}
	return names
}
