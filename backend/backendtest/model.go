// Random operations on the reference model and on a store leave both alike.

package backendtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
)

var (
	seedFlag = flag.Uint64("backendtest.seed", 0, "replay the model test with this seed; 0: a new one each time")
	opsFlag  = flag.Int("backendtest.ops", 600, "operations of one model test")
)

var modelCases = []testCase{
	{"random operations", func(f *fixture) {
		seed := *seedFlag
		if seed == 0 {
			seed = rand.Uint64()
		}
		f.Logf("replay with -backendtest.seed=%d", seed)
		m := &model{fixture: f, rand: rand.New(rand.NewPCG(seed, 1))}
		reference := memory.New()
		_, err := reference.Deploy(f.ctx, []backend.Program{{Digest: digest, Sources: []byte(`{"main.star":"pass"}`)}}, nil)
		f.must(err)
		m.sides = [2]*side{{Store: reference}, {Store: f.Store}}
		for _, s := range m.sides {
			s.runs, s.ids, s.tasks = make(map[string]backend.RunKey), make(map[string]int64), make(map[string]int64)
		}
		for m.op = range *opsFlag {
			m.step()
			if m.op%20 == 0 || m.Failed() {
				m.compareAll()
			}
			if m.Failed() {
				f.Fatalf("differs after operation %d with seed %d", m.op, seed)
			}
		}
		m.compareAll()
		for _, err := range reference.Check(f.ctx) {
			f.Error("reference: ", err)
		}
	}},
}

// side is one of the two stores with the keys that it gave out.
type side struct {
	backend.Store
	sessions []backend.SessionID // all ever opened, at the same place on both sides
	runs     map[string]backend.RunKey
	ids      map[string]int64 // of messages, by what they say
	tasks    map[string]int64 // keys, by step
}

type model struct {
	*fixture
	rand       *rand.Rand
	sides      [2]*side
	executions []string
	digests    []string
	messages   int
	reserved   []reserved
	watches    []watched
	op         int
}

// both does the same on each side and compares what is said about the outcome.
func (m *model) both(what string, do func(*side) string) {
	m.Helper()
	if want, got := do(m.sides[0]), do(m.sides[1]); got != want {
		m.Errorf("operation %d, %s:\n%s", m.op, what, difference(got, want))
	}
}

// difference shows the lines that differ.
func difference(got, want string) (out string) {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			out += fmt.Sprintf("got  %s\nwant %s\n", a, b)
		}
	}
	return out
}

func (m *model) chance(percent int) bool { return m.rand.IntN(100) < percent }

func pick[T any](m *model, list []T) (one T) {
	if len(list) > 0 {
		one = list[m.rand.IntN(len(list))]
	}
	return one
}

func (m *model) step() {
	sessions := len(m.sides[0].sessions)
	switch n := m.rand.IntN(100); {
	case sessions == 0 || n < 4:
		m.both("open", func(s *side) string {
			id, _, err := s.Open(m.ctx, backend.Session{Host: fmt.Sprint("h", m.op)})
			s.sessions = append(s.sessions, id)
			return fmt.Sprint(err)
		})
	case n < 7:
		m.deployOne()
	case n < 9:
		at := m.rand.IntN(sessions)
		m.both("revoke", func(s *side) string { return fmt.Sprint(s.Revoke(m.ctx, s.sessions[at])) })
	case n < 13:
		at := m.rand.IntN(sessions)
		m.both("beat", func(s *side) string {
			beaten, err := s.Beat(m.ctx, s.sessions[at], []byte(fmt.Sprint(m.op)))
			return fmt.Sprint(beaten.Expired, beaten.At.IsZero(), named(err))
		})
	case n < 30:
		m.claimSome(m.rand.IntN(sessions))
	case n < 36:
		m.receive(m.rand.IntN(sessions))
	case n < 43:
		m.claimTasks(m.rand.IntN(sessions))
	case n < 45:
		m.rerunOne()
	case n < 46:
		m.both("clear memos", func(s *side) string {
			n, err := s.ClearMemos(m.ctx, "add")
			return fmt.Sprint(n, named(err))
		})
	case n < 54:
		m.rarely(m.rand.IntN(sessions))
	default:
		m.batch(m.rand.IntN(sessions))
	}
}

// named is an error without the details that stores may word as they like.
func named(err error) string {
	var te *backend.TurnError
	if errors.As(err, &te) {
		return fmt.Sprint("turn ", te.Index, ": ", named(te.Err))
	}
	for _, known := range []error{backend.ErrNotFound, backend.ErrClosed, backend.ErrFenced, backend.ErrNotOwner, backend.ErrNoProgram, backend.ErrConflict} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return fmt.Sprint(err)
}

func (m *model) deployOne() {
	if m.chance(50) {
		m.digests = append(m.digests, fmt.Sprint("p", m.op))
	}
	d := backend.Deployment{Workflow: pick(m, []string{"a", "b"}), Digest: pick(m, m.digests), By: fmt.Sprint(m.op)}
	m.both("deploy", func(s *side) string {
		var programs []backend.Program
		for _, p := range m.digests {
			programs = append(programs, backend.Program{Digest: p, Sources: []byte(fmt.Sprint(m.op))})
		}
		stored, err := s.Deploy(m.ctx, programs, []backend.Deployment{d})
		return fmt.Sprint(showDeployments(stored), named(err))
	})
}

func (m *model) claimSome(session int) {
	r := m.byQueue()
	if m.chance(30) {
		r.IDs = []string{pick(m, m.executions), pick(m, m.executions), "missing"}
	}
	m.claim("claim", session, r)
}

// byQueue asks for all that there is in some queues.
func (m *model) byQueue() backend.ClaimRequest {
	r := backend.ClaimRequest{Queues: []string{"q1", "q2"}[:1+m.rand.IntN(2)], Editions: []int{1, 2}[:1+m.rand.IntN(2)], Limit: 1 << 20}
	r.Tags = []string{"t1", "t2"}[:m.rand.IntN(3)]
	r.Begun = m.chance(20)
	return r
}

// claim claims on both sides.
func (m *model) claim(what string, session int, r backend.ClaimRequest) {
	m.both(what, func(s *side) string {
		r := r
		r.Session = s.sessions[session]
		claimed, err := s.Claim(m.ctx, r)
		return named(err) + s.showClaimed(claimed)
	})
}

func (s *side) showClaimed(claimed []backend.Claimed) (out string) {
	// Due times of the store's own making may tie on one side only.
	slices.SortFunc(claimed, func(a, b backend.Claimed) int { return cmp.Compare(a.ID, b.ID) })
	for _, c := range claimed {
		out += fmt.Sprintf("\n%s fresh=%v inbox=%s", s.show(c.Execution), c.Fresh, s.showMessages(c.Inbox))
	}
	return out
}

func (m *model) receive(session int) {
	m.both("receive", func(s *side) string {
		messages, err := s.Receive(m.ctx, s.sessions[session])
		return s.showMessages(messages) + named(err)
	})
}

// batch commits a random batch of a session.
func (m *model) batch(session int) {
	var creates []backend.NewExecution
	for range m.rand.IntN(3) {
		creates = append(creates, m.newExecution())
	}
	turns := m.turns(session)
	var sends []backend.Message
	for range m.rand.IntN(3) {
		m.messages++
		sends = append(sends, backend.Message{Execution: pick(m, append([]string{"missing"}, m.executions...)),
			Kind: backend.Signal, Name: fmt.Sprint("m", m.messages), Attempt: m.rand.IntN(3), Payload: []byte(fmt.Sprint(m.op))})
	}
	settled, back := m.ending1(session)
	var claim *backend.ClaimRequest
	if m.chance(20) {
		r := m.byQueue()
		claim = &r
	}
	m.both("commit", func(s *side) string {
		b := backend.Batch{Session: s.sessions[session], Create: creates, Send: sends, Claim: claim}
		for _, d := range settled {
			b.Settle = append(b.Settle, backend.Settled{Key: s.tasks[d.step], Name: d.name, Payload: []byte(d.step)})
		}
		for _, step := range back {
			b.Back = append(b.Back, s.tasks[step])
		}
		for _, t := range turns {
			b.Turns = append(b.Turns, t.on(s))
		}
		reply, err := s.Commit(m.ctx, b)
		out := named(err)
		for i, c := range reply.Created {
			s.runs[creates[i].ID] = c.Run
			if c.Existing != nil {
				out += "\nexisting " + s.show(*c.Existing)
			}
		}
		for i, t := range reply.Turns {
			out += fmt.Sprint("\nkept ", t.Kept, t.Run != 0)
			if t.Run != 0 {
				s.runs[turns[i].Execution] = t.Run
			}
			for _, n := range turns[i].Children {
				if x, err := s.Execution(m.ctx, n.ID); err == nil {
					s.runs[n.ID] = x.Run
				}
			}
		}
		slices.Sort(reply.Told)
		out += s.showClaimed(reply.Claimed) + fmt.Sprint("\nsettled ", reply.Settled, "\ntold ", slices.Compact(reply.Told))
		for _, err := range reply.Sent {
			out += "\nsent " + named(err)
		}
		return out
	})
	for _, t := range turns {
		creates = append(creates, t.Children...)
	}
	for _, n := range creates {
		if _, ok := m.sides[0].runs[n.ID]; ok && !slices.Contains(m.executions, n.ID) {
			m.executions = append(m.executions, n.ID)
		}
	}
}

func (m *model) newExecution() backend.NewExecution {
	n := ask(fmt.Sprint("x", m.op, "-", m.rand.IntN(100)))
	n.Queue, n.Priority, n.Edition = pick(m, []string{"q1", "q2"}), m.rand.IntN(3), 1+m.rand.IntN(2)
	n.Tags, n.Claim = []string{"t1", "t2"}[:m.rand.IntN(3)], m.chance(30)
	if m.chance(50) {
		n.First = []byte("born " + n.ID)
	}
	if m.chance(10) {
		n.ID = cmp.Or(pick(m, m.executions), n.ID)
	}
	if m.chance(2) {
		n.Digest = "missing"
	}
	if m.chance(40) {
		n.Due = pick(m, []time.Time{far(m.op), past(m.op)})
	}
	if m.chance(20) {
		n.Parent, n.ParentStep, n.Expires = pick(m, m.executions), "s", pick(m, []time.Time{far(m.op), past(m.op)})
	}
	return n
}

// speaks reports whether a turn may put a message into another execution's inbox.
func speaks(p plan) bool {
	return p.Then == backend.Finish || p.Then == backend.Continue || len(p.Orders)+len(p.Memos)+len(p.Withdraw) > 0
}

// plan is a turn in terms that hold on both sides.
type plan struct {
	backend.Turn
	taken []string
}

func (p plan) on(s *side) backend.Turn {
	t := p.Turn
	t.Run = s.runs[t.Execution]
	for _, name := range p.taken {
		t.Taken = append(t.Taken, s.ids[name])
	}
	t.Children = slices.Clone(t.Children)
	for i := range t.Children {
		t.Children[i].ParentRun = t.Run
	}
	return t
}

// turns plans what a session may well do, and now and then what it may not.
func (m *model) turns(session int) (plans []plan) {
	reference := m.sides[0]
	inbox, err := reference.Receive(m.ctx, reference.sessions[session])
	m.must(err)
	for _, at := range m.rand.Perm(len(m.executions)) {
		id := m.executions[at]
		x, err := reference.Execution(m.ctx, id)
		m.must(err)
		if x.Owner != reference.sessions[session] && !m.chance(1) || m.chance(30) {
			continue
		}
		var first, lines int64
		m.must(reference.Journal(m.ctx, x.Run, 0, func(backend.Row) error { first++; return nil }))
		logged, err := reference.Logs(m.ctx, x.Run, 0, 0)
		m.must(err)
		lines = int64(len(logged))
		for again := true; again && len(plans) < 6; again = m.chance(20) { // now and then one more of the same
			p := m.turn(id, first, lines, inbox)
			first, lines = first+int64(len(p.Rows)), lines+int64(len(p.Logs))
			if !m.chance(3) {
				inbox = slices.DeleteFunc(inbox, func(msg backend.Message) bool { return slices.Contains(p.taken, ident(&msg)) })
			}
			if plans = append(plans, p); p.Then != backend.Hold && !m.chance(10) {
				break
			}
		}
		if len(plans) >= 4 {
			break
		}
	}
	if slices.ContainsFunc(plans, speaks) {
		for i := range plans {
			if plans[i].Then == backend.Release {
				plans[i].Then = backend.Hold // which comes first, a message or this, is for the store to say
			}
		}
	}
	return plans
}

// turn plans one of an execution whose journal has a number of rows, and its run a number of log lines.
func (m *model) turn(id string, first, lines int64, inbox []backend.Message) plan {
	p := plan{Turn: backend.Turn{Execution: id, First: first}}
	if m.chance(2) {
		p.First += int64(m.rand.IntN(3) - 1)
	}
	for i := range m.rand.IntN(4) {
		p.Rows = append(p.Rows, []byte(fmt.Sprint(m.op, "/", i)))
	}
	for _, msg := range inbox {
		if msg.Execution == id && m.known(ident(&msg)) && m.chance(60) {
			p.taken = append(p.taken, ident(&msg))
		}
	}
	m.asking(&p)
	m.ending(&p, lines)
	return p
}

// known reports whether both sides have shown the message.
func (m *model) known(name string) bool {
	_, a := m.sides[0].ids[name]
	_, b := m.sides[1].ids[name]
	return a && b
}

func (m *model) ending(p *plan, lines int64) {
	if m.chance(20) {
		p.Published = []byte(fmt.Sprint(m.op))
	}
	if m.chance(10) {
		p.Stuck = &backend.Stuck{Reason: fmt.Sprint(m.op), Since: past(m.op), Tries: 1 + m.rand.IntN(3)}
	}
	if m.chance(5) && len(m.digests) > 0 {
		p.Digest = pick(m, append([]string{"missing"}, m.digests...))
	}
	if m.chance(20) {
		p.Logs = []backend.LogLine{{Ordinal: lines, At: past(m.op), Level: "print", Message: fmt.Sprint(m.op)}}
	}
	switch n := m.rand.IntN(100); {
	case n < 30:
		p.Then = backend.Release
		p.Due = pick(m, []time.Time{{}, past(m.op), far(m.op)})
	case n < 35:
		p.Then, p.State = backend.Finish, pick(m, []backend.State{backend.Completed, backend.Failed, backend.Cancelled})
		p.Result, p.Failure = []byte(fmt.Sprint(m.op)), []byte(`{}`)
	case n < 39:
		p.Then, p.Rows = backend.Continue, nil
		p.Next = &backend.NextRun{Digest: digest, Edition: 1, Rows: [][]byte{[]byte(fmt.Sprint("next ", m.op))}, DropLetters: m.rand.IntN(2) == 0}
	}
}

// compareAll compares everything that can be seen.
func (m *model) compareAll() {
	m.both("executions", func(s *side) (out string) {
		list, err := s.List(m.ctx, backend.Filter{})
		slices.SortFunc(list, func(a, b backend.Execution) int { return cmp.Compare(a.ID, b.ID) })
		for _, x := range list {
			out += "\n" + s.show(x)
			_ = s.Journal(m.ctx, x.Run, 0, func(r backend.Row) error {
				out += fmt.Sprintf(" %d/%d:%s", r.Number, s.place(r.Session), r.Data)
				return nil
			})
			lines, err := s.Logs(m.ctx, x.Run, 0, 0)
			out += fmt.Sprint(lines, err)
			inbox, err := s.Inbox(m.ctx, x.ID)
			out += s.showMessages(inbox) + named(err)
		}
		return out + named(err)
	})
	for i := range m.sides[0].sessions {
		m.receive(i)
	}
	m.compareOthers()
	m.both("sessions", func(s *side) (out string) {
		list, err := s.Sessions(m.ctx)
		for _, n := range list {
			out += fmt.Sprintf(" %d:%d %s %s", s.place(n.ID), n.Beat, n.Host, n.Info)
		}
		return out + named(err)
	})
	m.both("deployments", func(s *side) (out string) {
		for _, w := range []string{"", "a", "b"} {
			list, err := s.Deployments(m.ctx, w)
			out += fmt.Sprint(showDeployments(list), named(err))
		}
		return out
	})
	for _, err := range m.Store.Check(context.WithoutCancel(m.ctx)) {
		m.Error(err)
	}
}

func showDeployments(list []backend.Deployment) (out string) {
	for _, d := range list {
		out += fmt.Sprint(d.Workflow, d.Version, d.Digest, d.By, d.At.IsZero(), "; ")
	}
	return out
}

// place is where a session stands among all; the same on both sides.
func (s *side) place(id backend.SessionID) int { return slices.Index(s.sessions, id) }

// moment shows a time that was given, and hides one that the store took.
func moment(t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case t.Year() >= 2100 || t.Year() == past(0).Year():
		return t.Format(time.RFC3339Nano)
	}
	return "now"
}

func (s *side) show(x backend.Execution) string {
	var b bytes.Buffer
	fmt.Fprint(&b, x.ID, x.RunNumber, s.runs[x.ID] == x.Run, " ", x.Workflow, x.Digest, x.Edition, x.Function, string(x.Input), " ", x.State,
		string(x.Result), string(x.Failure), x.Queue, x.Priority, x.Tags, x.Parent, x.ParentStep, s.runs[x.Parent] == x.ParentRun, x.Depth, string(x.Extra), " owner ", s.place(x.Owner), " ")
	for _, t := range []time.Time{x.Due, x.Expires, x.Created, x.Started, x.Finished} {
		fmt.Fprint(&b, moment(t), " ")
	}
	b.Write(x.Published)
	if x.Stuck != nil {
		fmt.Fprint(&b, *x.Stuck)
	}
	return b.String()
}

// ident is what tells a message from others of its execution.
func ident(msg *backend.Message) string {
	return fmt.Sprint(msg.Execution, msg.Kind, msg.Name, " ", msg.Step, msg.Attempt, " ", string(msg.Payload))
}

// showMessages also remembers the ids. The order of what one commit has sent is the store's own.
func (s *side) showMessages(list []backend.Message) string {
	var out []string
	for _, msg := range list {
		s.ids[ident(&msg)] = msg.ID
		out = append(out, fmt.Sprint(ident(&msg), msg.Run == s.runs[msg.Execution], msg.Sent.IsZero()))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}
