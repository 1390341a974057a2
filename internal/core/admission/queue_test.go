package admission

import (
	"slices"
	"strings"
	"testing"
)

// pushes is a text such as "1a1 1a2 2b1": link, source, and what it is.
func pushes(q *Queue[string], class int, text string) (shed []string) {
	for item := range strings.FieldsSeq(text) {
		source := number(int(item[1]))
		if item[1] == '*' {
			source = Newcomers()
		}
		if s, dropped := q.Push(class, int(item[0]), source, Source{}, item); dropped {
			shed = append(shed, s)
		}
	}
	return shed
}

func drain[T any](q *Queue[T]) (items []T) {
	for {
		item, ok := q.Pop()
		if !ok {
			return items
		}
		items = append(items, item)
	}
}

func TestQueue(t *testing.T) {
	small := []Bounds{{Total: 4}, {Total: 6, PerSource: 3}}
	for _, c := range []struct {
		name                     string
		answers, clients         string
		shedAnswers, shedClients string
		want                     string
	}{
		{name: "nothing"},
		{
			name: "within a source the oldest first", clients: "1a1 1a2 1a3",
			want: "1a1 1a2 1a3",
		},
		{
			name: "sources take turns", clients: "1a1 1a2 1a3 1b1 1c1 1c2",
			want: "1a1 1b1 1c1 1a2 1c2 1a3",
		},
		{
			name: "links take turns, and sources within them", clients: "1a1 1b1 1c1 1a2 2a1 2a2",
			want: "1a1 2a1 1b1 2a2 1c1 1a2",
		},
		{
			name: "answers go first", clients: "1a1 1b1", answers: "9x1 9x2",
			want: "9x1 9x2 1a1 1b1",
		},
		{
			name: "a source has its bound", clients: "1a1 1a2 1a3 1a4 1b1",
			shedClients: "1a4",
			want:        "1a1 1b1 1a2 1a3",
		},
		{
			name: "newcomers have the whole queue", clients: "1*1 1*2 1*3 1*4 1*5 1*6 1*7 1a1",
			shedClients: "1*7 1*6",
			want:        "1*1 1a1 1*2 1*3 1*4 1*5",
		},
		{
			name: "the fullest source of the fullest link pays, with its newest", clients: "1a1 1b1 1b2 1b3 2c1 2c2 3d1 3d2",
			shedClients: "1b3 1b2",
			want:        "1a1 2c1 3d1 1b1 2c2 3d2",
		},
		{
			name: "the fullest link pays, although another has the fullest source", clients: "1a1 1b1 1c1 1d1 2e1 2e2 2e3",
			shedClients: "1d1",
			want:        "1a1 2e1 1b1 2e2 1c1 2e3",
		},
		{
			name: "who comes last among equals is refused", clients: "1a1 1b1 1c1 1d1 1e1 1f1 1g1",
			shedClients: "1g1",
			want:        "1a1 1b1 1c1 1d1 1e1 1f1",
		},
		{
			name: "the bounds of classes are apart", clients: "1a1 1a2 1a3 1b1 1b2 1b3", answers: "9x1 9x2 9x3 9x4 9x5",
			shedAnswers: "9x5",
			want:        "9x1 9x2 9x3 9x4 1a1 1b1 1a2 1b2 1a3 1b3",
		},
	} {
		q := NewQueue[string](testKey, small...)
		shed := pushes(q, Clients, c.clients)
		if want := strings.Fields(c.shedClients); !slices.Equal(shed, want) {
			t.Errorf("%s: of the clients, %q are shed, want %q", c.name, shed, want)
		}
		shed = pushes(q, Answers, c.answers)
		if want := strings.Fields(c.shedAnswers); !slices.Equal(shed, want) {
			t.Errorf("%s: of the answers, %q are shed, want %q", c.name, shed, want)
		}
		want := strings.Fields(c.want)
		if q.Len() != len(want) {
			t.Errorf("%s: %d queued, want %d", c.name, q.Len(), len(want))
		}
		if got := drain(q); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", c.name, got, want)
		}
		checkEmpty(t, q)
	}
}

// In overload, who floods loses what the others do not: each of the honest sends
// one message in the time in which the queue hands out 100, and the flood fills
// it up a hundred times over.
func TestQueueUnderFlood(t *testing.T) {
	const honest, rounds, served, flood = 50, 60, 100, 5000
	relay, other := number(7777).ForMany(), number(8888).ForMany()
	type sender struct {
		link      int
		s, client Source
	}
	direct := func(k int) sender { return sender{1, number(k), Source{}} }
	behind := func(k int) sender { return sender{1, relay, number(k)} }
	for _, c := range []struct {
		name     string
		honest   func(client int) sender
		attacker func(k int) sender
	}{
		{"one source on the same link", direct, func(int) sender { return sender{1, number(9999), Source{}} }},
		{"one that may fill the queue", direct, func(int) sender { return sender{1, number(9999).ForMany(), Source{}} }},
		{"newcomers on the same link", direct, func(int) sender { return sender{1, Newcomers(), Source{}} }},
		{"made-up addresses on another link", direct, func(k int) sender { return sender{2, number(10_000 + k), Source{}} }},
		{"one source on another link", direct, func(int) sender { return sender{2, number(3), Source{}} }},
		{"a client behind the same relay agent", behind, func(int) sender { return sender{1, relay, number(9999)} }},
		{"made-up clients behind another relay agent", behind, func(k int) sender { return sender{1, other, number(10_000 + k)} }},
		{"a client with the same address behind another relay agent", behind, func(int) sender { return sender{1, other, number(3)} }},
		{"made-up clients behind a relay agent on the same link", direct, func(k int) sender { return sender{1, relay, number(10_000 + k)} }},
	} {
		q := NewQueue[int](testKey, DefaultBounds()...)
		k := 0
		answered := make([]int, honest)
		longest := 0
		for round := range rounds {
			for i := range flood {
				if i%(flood/honest) == 0 {
					client := i / (flood / honest)
					from := c.honest(client)
					if shed, dropped := q.Push(Clients, from.link, from.s, from.client, round*honest+client); dropped && shed >= 0 {
						t.Fatalf("%s: round %d: message %d of an honest client is shed", c.name, round, shed)
					}
				}
				k++
				from := c.attacker(k)
				if shed, dropped := q.Push(Clients, from.link, from.s, from.client, -1); dropped && shed >= 0 {
					t.Fatalf("%s: round %d: message %d of an honest client is shed", c.name, round, shed)
				}
			}
			for range served {
				item, ok := q.Pop()
				if !ok {
					t.Fatalf("%s: round %d: the queue is empty", c.name, round)
				}
				if item >= 0 {
					answered[item%honest]++
					longest = max(longest, round-item/honest)
				}
			}
			if n := q.Len(); n > 1024 {
				t.Fatalf("%s: %d queued, want 1024 at most", c.name, n)
			}
		}
		for client, n := range answered {
			if n < rounds-1 {
				t.Errorf("%s: client %d: %d of %d answered", c.name, client, n, rounds)
			}
		}
		if longest > 1 {
			t.Errorf("%s: a message waited for %d rounds", c.name, longest)
		}
	}
}

func TestQueueAllocates(t *testing.T) {
	q := NewQueue[*int](testKey, DefaultBounds()...)
	item := new(int)
	n := 0
	if got := testing.AllocsPerRun(10_000, func() {
		for range 8 {
			n++
			q.Push(n%2, n%5, number(n), Source{}, item)
			q.Push(Clients, n%7, number(n%30), Source{}, item)
		}
		q.Pop()
	}); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
	if q.LenOf(Answers) != 2047 || q.LenOf(Clients) != 1024 {
		t.Errorf("%d answers and %d messages of clients queued, want 2047, as one was handed out, and 1024", q.LenOf(Answers), q.LenOf(Clients))
	}
	drain(q)
	checkEmpty(t, q)
}
