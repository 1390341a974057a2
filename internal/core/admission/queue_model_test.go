package admission

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// twinQueue is a Queue that looks at everything each time.
type twinQueue struct {
	bounds  []Bounds
	classes []twinClass
	held    map[int]bool
	last    int // class, of those that take turns
	clock   int
}

type twinClass struct{ groups []*twinTurn[*twinTurn[int]] } // the first has its turn

// twinTurn is a group with its sources, or a source with its items, in the order
// of their turns.
type twinTurn[T any] struct {
	group  groupKey
	source Source
	queue  []T
	stamp  int // when the amount last changed
}

func (c *twinClass) total() (n int) {
	for _, l := range c.groups {
		n += held(l)
	}
	return n
}

func held(l *twinTurn[*twinTurn[int]]) (n int) {
	for _, s := range l.queue {
		n += len(s.queue)
	}
	return n
}

func (q *twinQueue) push(class int, group groupKey, source Source, item int) (shed int, dropped bool) {
	c := &q.classes[class]
	b := q.bounds[class]
	q.clock++
	i := slices.IndexFunc(c.groups, func(l *twinTurn[*twinTurn[int]]) bool { return l.group == group })
	if i < 0 {
		i = len(c.groups)
		c.groups = append(c.groups, &twinTurn[*twinTurn[int]]{group: group})
	}
	l := c.groups[i]
	j := slices.IndexFunc(l.queue, func(s *twinTurn[int]) bool { return s.source == source })
	if j < 0 {
		j = len(l.queue)
		l.queue = append(l.queue, &twinTurn[int]{source: source})
	}
	s := l.queue[j]
	if b.PerSource > 0 && !source.many && len(s.queue) >= b.PerSource {
		return item, true
	}
	s.queue = append(s.queue, item)
	s.stamp, l.stamp = q.clock, q.clock
	if c.total() <= b.Total {
		return 0, false
	}
	q.clock++
	l = slices.MaxFunc(c.groups, func(a, b *twinTurn[*twinTurn[int]]) int {
		return 1<<20*(held(a)-held(b)) + a.stamp - b.stamp
	})
	s = slices.MaxFunc(l.queue, func(a, b *twinTurn[int]) int {
		return 1<<20*(len(a.queue)-len(b.queue)) + a.stamp - b.stamp
	})
	shed = s.queue[len(s.queue)-1]
	s.queue = s.queue[:len(s.queue)-1]
	s.stamp, l.stamp = q.clock, q.clock
	c.tidy()
	return shed, true
}

// order is the classes in the order in which they are asked.
func (q *twinQueue) order() []int {
	order := []int{0}
	for i := 1; i < len(q.classes); i++ {
		order = append(order, i)
	}
	sorted := order[1:]
	slices.SortFunc(sorted, func(a, b int) int { return q.distance(a) - q.distance(b) })
	return order
}

// distance is how many turns a class has to wait.
func (q *twinQueue) distance(class int) int {
	n := len(q.classes)
	return (class - q.last - 1 + 2*(n-1)) % (n - 1)
}

func (q *twinQueue) pop() (int, bool) {
	q.clock++
	for _, i := range q.order() {
		c := &q.classes[i]
		if len(c.groups) == 0 || q.held[i] {
			continue
		}
		if i > 0 {
			q.last = i
		}
		l := c.groups[0]
		s := l.queue[0]
		item := s.queue[0]
		s.queue = s.queue[1:]
		s.stamp, l.stamp = q.clock, q.clock
		l.queue = append(l.queue[1:], s)
		c.groups = append(c.groups[1:], l)
		c.tidy()
		return item, true
	}
	return 0, false
}

// tidy takes out what is empty.
func (c *twinClass) tidy() {
	for _, l := range c.groups {
		l.queue = slices.DeleteFunc(l.queue, func(s *twinTurn[int]) bool { return len(s.queue) == 0 })
	}
	c.groups = slices.DeleteFunc(c.groups, func(l *twinTurn[*twinTurn[int]]) bool { return len(l.queue) == 0 })
}

// Random pushes and pops, for queues of several shapes: the same items leave in
// the same order, and the same are shed.
func TestQueueModel(t *testing.T) {
	shapes := [][]Bounds{
		{{Total: 1}},
		{{Total: 3, PerSource: 2}},
		{{Total: 20}, {Total: 12, PerSource: 5}},
		{{Total: 8, PerSource: 1}, {Total: 40, PerSource: 7}, {Total: 5}},
	}
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 2))
		bounds := shapes[seed%uint64(len(shapes))]
		q := NewQueue[int](Key{seed, 1}, bounds...)
		twin := &twinQueue{bounds: bounds, classes: make([]twinClass, len(bounds)), held: make(map[int]bool)}
		sheds := 0
		for step := range 4000 {
			if random.IntN(50) == 0 {
				class, held := random.IntN(len(bounds)), random.IntN(3) == 0
				q.Pause(class, held)
				twin.held[class] = held
			}
			// Full and empty by turns.
			if random.IntN(100) < 35+30*(step/200%2) {
				got, ok := q.Pop()
				want, wantOK := twin.pop()
				if got != want || ok != wantOK {
					t.Fatalf("seed %d, step %d: pop %d, %v; want %d, %v", seed, step, got, ok, want, wantOK)
				}
			} else {
				class, link, source := random.IntN(len(bounds)), random.IntN(4), number(random.IntN(1+random.IntN(9)))
				if random.IntN(9) == 0 {
					source = Newcomers()
				}
				group, sender, client := groupKey{link: link}, source, Source{}
				if random.IntN(3) == 0 {
					sender, client = number(100+random.IntN(2)).ForMany(), source
					group.relay = sender
				}
				got, dropped := q.Push(class, link, sender, client, step+1)
				want, wantDropped := twin.push(class, group, source, step+1)
				if got != want || dropped != wantDropped {
					t.Fatalf("seed %d, step %d: shed %d, %v; want %d, %v", seed, step, got, dropped, want, wantDropped)
				}
				if dropped {
					sheds++
				}
			}
			all, ready := 0, false
			for i := range bounds {
				n := twin.classes[i].total()
				ready = ready || n > 0 && !twin.held[i]
				if all += n; q.LenOf(i) != n {
					t.Fatalf("seed %d, step %d: class %d holds %d, want %d", seed, step, i, q.LenOf(i), n)
				}
			}
			if q.Len() != all {
				t.Fatalf("seed %d, step %d: %d items, want %d", seed, step, q.Len(), all)
			}
			if q.Ready() != ready {
				t.Fatalf("seed %d, step %d: ready: %v, want %v", seed, step, q.Ready(), ready)
			}
		}
		if sheds == 0 {
			t.Errorf("seed %d: nothing was shed", seed)
		}
		for i := range bounds {
			q.Pause(i, false)
		}
		for {
			if _, ok := q.Pop(); !ok {
				break
			}
		}
		checkEmpty(t, q)
	}
}

// checkEmpty looks for what an empty queue must not hold on to.
func checkEmpty[T comparable](t *testing.T, q *Queue[T]) {
	t.Helper()
	var nothing T
	for i := range q.classes {
		c := &q.classes[i]
		n := c.total + 1
		if len(c.freeItems) != n || len(c.freeOnes) != n || len(c.freeGroups) != n ||
			len(c.ofGroups.free) != n+1 || len(c.ofSources.free) != n+1 {
			t.Errorf("class %d: %d items, %d sources, %d groups and %d and %d steps are free, of %d", i,
				len(c.freeItems), len(c.freeOnes), len(c.freeGroups), len(c.ofGroups.free)-1, len(c.ofSources.free)-1, n)
		}
		if c.nextGroup != none || c.groupRank != none {
			t.Errorf("class %d: group %d has the turn, step %d is the lowest", i, c.nextGroup, c.groupRank)
		}
		for _, item := range c.items {
			if item != nothing {
				t.Errorf("class %d holds on to %v", i, item)
			}
		}
		for _, heads := range [][]int32{c.byGroup.heads, c.bySource.heads} {
			for _, h := range heads {
				if h != none {
					t.Errorf("class %d: element %d is found still", i, h)
				}
			}
		}
	}
}
