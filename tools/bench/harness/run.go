// Package harness has what every bench needs: it makes programs take turns, keeps the figures in
// the Go benchmark format, compares them with the bars, and writes the document. It knows nothing
// of the programs that are measured.
//
// A Suite is the benches of one document. A Bench is a value: its name, the programs that it
// compares, how each of them begins, what one turn is, and the bars.
package harness

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Suite is the benches of one document.
type Suite interface {
	// Flags adds the options of this suite to those that all suites have.
	Flags(*flag.FlagSet)
	// Benches returns the benches of a run, in the order in which they are measured.
	Benches(*Run) ([]Bench, error)
	// Told returns what is printed before the bars.
	Told(*Run) (string, error)
	// Document returns the text of the document, which is empty for a run of only a part.
	Document(*Run) (string, error)
}

// Bench is one thing to measure.
type Bench struct {
	Name string
	// Between are the names of the programs that take turns.
	Between []string
	// Begin, if there is one, makes one of them ready.
	Begin func(who string) error
	// Turns are what is measured. All rounds of one turn are done before the next turn.
	Turns []Turn
	// Once means that one round is enough, because all rounds would have the same figures.
	Once bool
	// End, if there is one, ends what Begin has begun.
	End func() error
	// Bars may be named to choose the bench. Bars without a judge are not printed.
	Bars []Bar
}

// Turn is what one program does in one round. It adds the figures that it measures.
type Turn func(who string, round int, to *Results) error

// Run is one run of a suite.
type Run struct {
	Name     string // name of the suite
	Fairlead string // path of the program
	Folder   string // for stores: on a real file system, and removed at the end
	Rounds   int
	Results  *Results
	Judged   []Judged

	document string
	dir      string
	full     int // how many rounds a full run has
	bars     []string

	mu      sync.Mutex // guards closers, which another goroutine calls if the run is interrupted
	closers []func() error
}

// Main runs a suite with the arguments of a command line. It removes everything, even if it is
// interrupted. Bars may be named without the first word of their names. words lists the bars that
// there are; it is empty if bars cannot be chosen.
func Main(s Suite, r *Run, document, words string, args []string) error {
	flags := flag.NewFlagSet(r.Name, flag.ExitOnError)
	flags.StringVar(&r.Fairlead, "fairlead", "build/fairlead", "the program")
	flags.StringVar(&r.dir, "dir", "build", "a folder on a real file system, for stores, and for the figures in the Go benchmark format")
	flags.StringVar(&r.document, "document", document, "what to write at the end of a whole run")
	flags.IntVar(&r.Rounds, "rounds", r.Rounds, "how many times each program is measured")
	bars := new(string)
	if words != "" {
		flags.StringVar(bars, "bars", "", "measure these bars alone, with commas; all have names that begin with "+words+", which may be left out")
	}
	r.full = r.Rounds
	s.Flags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("%q is no option: only options are wanted", flags.Arg(0))
	case r.Rounds < 1:
		return fmt.Errorf("-rounds %d: at least one round is wanted", r.Rounds)
	}
	r.bars = Words(*bars)
	figures, err := r.prepare()
	if err != nil {
		return err
	}
	defer prefer()()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan error, 1)
	go func() { done <- r.run(s) }()
	select {
	case err = <-done:
	case s := <-interrupted:
		err = fmt.Errorf("ended by signal: %v", s)
	}
	return errors.Join(err, r.close(), figures.Close())
}

// Measured runs benches that have no bars, and writes the figures.
func Measured(fairlead string, rounds int, benches func(*Run) []Bench, to io.Writer) (err error) {
	r := &Run{Fairlead: fairlead, Rounds: rounds, Results: NewResults(to)}
	defer func() { err = errors.Join(err, r.close()) }()
	r.Results.DescribeMachine()
	for _, b := range benches(r) {
		if err := r.Measure(b); err != nil {
			return err
		}
	}
	return r.Results.err
}

// Words returns the words between commas.
func Words(text string) (words []string) {
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// prepare makes the folders and describes the machine.
func (r *Run) prepare() (figures *os.File, err error) {
	if r.Fairlead, err = filepath.Abs(r.Fairlead); err != nil {
		return nil, err
	}
	if r.dir, err = filepath.Abs(r.dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return nil, err
	}
	if r.Folder, err = os.MkdirTemp(r.dir, "bench-"); err != nil { // a folder of its own, as another run may be under way
		return nil, err
	}
	r.OnClose(func() error { return os.RemoveAll(r.Folder) })
	if figures, err = os.Create(r.Figures()); err != nil {
		return nil, err
	}
	r.Results = NewResults(figures)
	r.Results.DescribeMachine()
	r.Results.Describe("file-system", FileSystem(r.Folder))
	r.Results.Describe("fairlead", version(r.Fairlead))
	return figures, nil
}

// Figures returns the path of the file that has all figures, in the Go benchmark format.
func (r *Run) Figures() string { return filepath.Join(r.dir, r.Name+".txt") }

// Whole reports whether nothing was left out of the run.
func (r *Run) Whole() bool { return len(r.bars) == 0 && r.Rounds >= r.full }

// Say tells the user what is being done.
func Say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

// OnClose makes the end of the run call f, however the run ends. Functions that were added later
// are called first.
func (r *Run) OnClose(f func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closers = append(r.closers, f)
}

func (r *Run) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, f := range slices.Backward(r.closers) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// Wants reports whether any of the bars is to be judged.
func (r *Run) Wants(names ...string) bool {
	return len(r.bars) == 0 || slices.ContainsFunc(names, func(n string) bool {
		return slices.ContainsFunc(r.bars, func(bar string) bool { return means(bar, n) })
	})
}

// means reports whether the user's name for a bar stands for the bar with this name.
func means(bar, name string) bool {
	_, rest, _ := strings.Cut(name, "-")
	return bar == name || bar == rest
}

// run measures what was asked for, and prints the results. If something fails, its bars are void,
// and the other benches go on.
func (r *Run) run(s Suite) error {
	benches, err := s.Benches(r)
	if err != nil {
		return err
	}
	if err := r.known(benches); err != nil {
		return err
	}
	var errs []error
	for _, b := range benches {
		if !r.Wants(b.names()...) {
			continue
		}
		err := r.Measure(b)
		for _, bar := range b.Bars {
			switch {
			case bar.Judge == nil || !r.Wants(bar.Name):
			case err != nil:
				r.Judged = append(r.Judged, Judged{bar, Unknown(err.Error())})
			default:
				r.Judged = append(r.Judged, Judged{bar, bar.Judge(r.Results)})
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, r.finish(s, errors.Join(errs...) == nil))...)
}

func (b *Bench) names() (names []string) {
	for _, bar := range b.Bars {
		names = append(names, bar.Name)
	}
	return names
}

// known refuses the names of bars that do not exist.
func (r *Run) known(benches []Bench) error {
	for _, name := range r.bars {
		if !slices.ContainsFunc(benches, func(b Bench) bool {
			return slices.ContainsFunc(b.Bars, func(bar Bar) bool { return means(name, bar.Name) })
		}) {
			return fmt.Errorf("there is no bar %q", name)
		}
	}
	return nil
}

// Measure lets the programs of a bench take turns.
func (r *Run) Measure(b Bench) error {
	if b.Begin != nil {
		for _, who := range b.Between {
			Say("%s: %s starts", b.Name, who)
			if err := b.Begin(who); err != nil {
				return fmt.Errorf("%s: %s: %w", b.Name, who, err) // what has begun is ended at the end of the run
			}
		}
	}
	err := r.turns(b)
	if b.End != nil {
		err = errors.Join(err, b.End())
	}
	return err
}

func (r *Run) turns(b Bench) error {
	rounds := r.Rounds
	if b.Once {
		rounds = 1
	}
	for _, turn := range b.Turns {
		for round := range rounds {
			for _, who := range b.Between {
				Say("%s: round %d of %d: %s", b.Name, round+1, rounds, who)
				if err := turn(who, round, r.Results); err != nil {
					return fmt.Errorf("%s: %s: %w", b.Name, who, err)
				}
			}
		}
	}
	return nil
}

// finish prints everything and, after a whole run, writes the document.
func (r *Run) finish(s Suite, good bool) error {
	told, err := s.Told(r)
	if err != nil {
		return err
	}
	fmt.Println(told)
	for _, note := range r.Notes() {
		fmt.Printf("\n%s", note)
	}
	fmt.Println()
	for _, one := range r.Judged {
		fmt.Println(one)
	}
	text := ""
	if good && r.Whole() {
		text, err = s.Document(r)
	}
	if text == "" {
		Say("not all was run: %s stays as it is", r.document)
		return errors.Join(err, r.Results.err)
	}
	return errors.Join(err, r.Results.err, os.WriteFile(r.document, []byte(text), 0o644))
}

// Notes returns the notes of all bars.
func (r *Run) Notes() (all []string) {
	for _, one := range r.Judged {
		for _, note := range one.Notes {
			all = append(all, one.Name+": "+note)
		}
	}
	return all
}

// Compare makes benchstat compare the figures of the programs that took turns; key is the part of
// a figure's name that names the program. For each name it prints the medians in those units,
// their ratio, and the noise.
func (r *Run) Compare(key string, order, units []string) (string, error) {
	cmd := exec.Command("go", "tool", "benchstat", "-table", ".config",
		"-col", fmt.Sprintf("/%s@(%s)", key, strings.Join(order, " ")), "-filter", ".unit:("+strings.Join(units, " OR ")+")", r.Figures())
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("benchstat: %w: %s", err, out)
	}
	return string(out), err
}
