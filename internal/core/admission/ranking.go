package admission

// ranking orders elements by their amounts, so that the element with the largest amount is
// found at once. An amount changes by one at a time. Each list is a ring of steps, the
// lowest at its head, and a step is a ring of the elements with equal amounts. The owner
// of a list remembers its head.
type ranking struct {
	steps   rings
	members rings
	free    pool
	amount  []int   // by step
	first   []int32 // by step: head of the ring of members
	step    []int32 // by element; none: it holds nothing
}

// newRanking is for elements below n.
func newRanking(n int) ranking {
	r := ranking{
		// An element enters its new step before it leaves the old one.
		steps: newRings(n + 1), free: newPool(n + 1), amount: make([]int, n+1), first: make([]int32, n+1),
		members: newRings(n), step: make([]int32, n),
	}
	for i := range r.step {
		r.step[i] = none
	}
	return r
}

// amountOf is the amount of an element.
func (r *ranking) amountOf(id int32) int {
	if r.step[id] == none {
		return 0
	}
	return r.amount[r.step[id]]
}

// most is the element of a list with the largest amount; of several the one that reached
// it last.
func (r *ranking) most(head int32) int32 { return r.members.tail(r.first[r.steps.tail(head)]) }

// gain gives an element one more and returns the list's head.
func (r *ranking) gain(head, id int32) int32 {
	old, amount := r.step[id], r.amountOf(id)+1
	above := head
	if old != none {
		above = r.following(head, old)
	}
	if above == none || r.amount[above] != amount {
		head, above = r.insert(head, above, amount)
	}
	head = r.leave(head, id)
	r.enter(above, id)
	return head
}

// lose takes one from an element and returns the list's head.
func (r *ranking) lose(head, id int32) int32 {
	old, amount := r.step[id], r.amountOf(id)-1
	if amount == 0 {
		head = r.leave(head, id)
		r.step[id] = none
		return head
	}
	below := none
	if old != head {
		below = r.steps.prev[old]
	}
	if below == none || r.amount[below] != amount {
		head, below = r.insert(head, old, amount)
	}
	head = r.leave(head, id)
	r.enter(below, id)
	return head
}

// following is the next higher step of a list; none after the highest.
func (r *ranking) following(head, step int32) int32 {
	if next := r.steps.next[step]; next != head {
		return next
	}
	return none
}

// insert makes a step in front of another one, or at the end if before is none.
func (r *ranking) insert(head, before int32, amount int) (newHead, step int32) {
	step = r.free.take()
	r.amount[step], r.first[step] = amount, none
	switch before {
	case none:
		return r.steps.add(head, step), step
	case head:
		r.steps.add(head, step)
		return step, step
	}
	r.steps.add(before, step) // the tail of the ring as seen from there
	return head, step
}

func (r *ranking) enter(step, id int32) {
	r.first[step] = r.members.add(r.first[step], id)
	r.step[id] = step
}

// leave takes an element out of its step, and an empty step out of the list.
func (r *ranking) leave(head, id int32) int32 {
	step := r.step[id]
	if step == none {
		return head
	}
	if r.first[step] = r.members.remove(r.first[step], id); r.first[step] == none {
		head = r.steps.remove(head, step)
		r.free.give(step)
	}
	return head
}
