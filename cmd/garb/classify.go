package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/model"
)

// classifyFlags are the flags of classify.
type classifyFlags struct {
	model            string
	top              int
	asJSON, asCSV    bool
	coverage         bool   // show prediction sets
	into             string // a folder to sort into
	link, copy, move bool
	undo             string // a folder that was sorted into, or its log
	accept           acceptFlag
}

func newClassifyCommand() *cobra.Command {
	var f classifyFlags
	command := &cobra.Command{
		Use:   "classify [flags] PICTURE|DIR|- ...",
		Short: "Say what is in pictures",
		Long: `Say what is in pictures: files, all pictures below folders, or - for standard
input. A quoted pattern such as 'pics/*.jpg' is expanded. JPEG, PNG, GIF, WebP, BMP,
AVIF and HEIC are recognized by their content.

A model that has an acceptance first judges whether a picture shows any of its classes.
If not, the answer is a refusal, such as "not clothing", and the class that the picture is
closest to. --accept 0.8 refuses more pictures than the model's own threshold does if that
is lower, and --accept all refuses none. A refusal is an answer: the exit code is 0.

--json gives "accepted" and "acceptance" (0 to 1) for a model that judges, and "refusal"
for a picture that is refused; "class" is then the class that it is closest to.

--csv writes a table: picture, class, for a model that judges accepted and acceptance,
probability, a column for each class of the model with its probability, and error, which
says why a picture has no answer.

--sort-into DIR puts each picture into DIR/CLASS, or DIR/not clothing or what else the
model says of one that it refuses: a copy, with --link a symbolic link, with --move the
picture itself. It replaces no file: where a name is taken, the picture
gets -2, -3 and so on before its ending. Pictures that are in folders of classes in DIR
are ignored. DIR/.garb-sorted.jsonl has what was done; --undo-sort DIR undoes all of it:
it moves pictures back, and removes copies and links that nobody has changed.

One bad picture does not stop the others. The exit code is 0 when all were
answered, 1 when some could not be, 2 when the command was used wrongly.`,
		Example: `  garb classify photo.jpg
  garb classify --top 3 wardrobe/
  garb classify 'wardrobe/*-front.jpg'
  garb classify --model imagenet --json photo.jpg | jq .class
  garb classify --model runs/mine --coverage photo.jpg   # a model of garb train --coverage
  garb classify --csv wardrobe/ > answers.csv
  garb classify --json inbox/ | jq -r 'select(.accepted == false).picture'
  garb classify --accept all photo.jpg
  garb classify --sort-into sorted/ --move inbox/
  garb classify --undo-sort sorted/
  curl -s https://example.org/shirt.jpg | garb classify -`,
		Args: func(c *cobra.Command, args []string) error { return f.validate(c, args) },
		RunE: func(c *cobra.Command, args []string) error {
			if f.undo != "" {
				return undoSort(c, f.undo)
			}
			all, skips, err := findSources(c, args)
			if err != nil {
				return err
			}
			return classify(c, all, skips, f)
		},
	}
	flags := command.Flags()
	flags.StringVar(&f.model, "model", model.Clothing, "model: a file, a run's folder, clothing, garments or imagenet")
	flags.IntVar(&f.top, "top", 3, "how many classes to show")
	flags.BoolVar(&f.asJSON, "json", false, "one JSON object a line")
	flags.BoolVar(&f.coverage, "coverage", false,
		"show the set of classes that holds the right one as often as the model was trained for")
	flags.BoolVar(&f.asCSV, "csv", false, "a table, with a column for each class")
	flags.StringVar(&f.into, "sort-into", "", "put the pictures into folders of this one, by class")
	flags.BoolVar(&f.copy, "copy", false, "with --sort-into: copy the pictures (the default)")
	flags.BoolVar(&f.link, "link", false, "with --sort-into: make symbolic links to the pictures")
	flags.BoolVar(&f.move, "move", false, "with --sort-into: move the pictures")
	addAcceptFlag(flags, &f.accept)
	addStrictFlag(command)
	flags.StringVar(&f.undo, "undo-sort", "", "undo what --sort-into did to this folder")
	return command
}

// validate reports flags and arguments that do not go together.
func (f classifyFlags) validate(c *cobra.Command, args []string) error {
	actions := 0
	for _, given := range []bool{f.link, f.copy, f.move} {
		if given {
			actions++
		}
	}
	switch {
	case f.undo != "":
		for _, name := range []string{"model", "top", "json", "csv", "coverage", "sort-into", "link", "copy", "move",
			"accept"} {
			if c.Flags().Changed(name) {
				return fmt.Errorf("--undo-sort and --%s exclude each other", name)
			}
		}
		if len(args) > 0 {
			return fmt.Errorf("--undo-sort takes no pictures, and undoes all that was sorted into its folder: omit %q",
				args[0])
		}
		return nil
	case len(args) == 0:
		return errors.New("classify needs a picture, a folder of pictures, or - for standard input")
	case f.top < 1:
		return fmt.Errorf("--top %d: show at least one class", f.top)
	case f.asJSON && f.asCSV:
		return errors.New("--json and --csv exclude each other")
	case f.asCSV && f.coverage:
		return errors.New("--csv and --coverage exclude each other: give --json for a form that programs read")
	case f.asCSV && c.Flags().Changed("top"):
		return errors.New("--csv and --top exclude each other: a table has a column for each class")
	case actions > 0 && f.into == "":
		return errors.New("--copy, --link and --move go with --sort-into")
	case actions > 1:
		return errors.New("--copy, --link and --move exclude each other")
	case f.into != "" && slices.Contains(args, standardInput):
		return errors.New("--sort-into cannot sort standard input, which is no file: save the picture, and give " +
			"its path")
	}
	return nil
}

// action is how pictures are sorted.
func (f classifyFlags) action() sortAction {
	switch {
	case f.link:
		return sortLink
	case f.move:
		return sortMove
	}
	return sortCopy
}

// modelName is a model as answers name it.
type modelName struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// pictureAnswer is a line of classify --json.
type pictureAnswer struct {
	Picture     string                   `json:"picture"`
	Class       string                   `json:"class"`
	Probability float64                  `json:"probability"`
	Predictions []model.ListedPrediction `json:"predictions"`
	Set         []string                 `json:"set,omitempty"`    // the prediction set, with --coverage
	Labels      *[]string                `json:"labels,omitempty"` // those above one half, of a multi-label model
	// Of a model that judges whether a picture shows any of its classes.
	Accepted   *bool     `json:"accepted,omitempty"`
	Acceptance *float64  `json:"acceptance,omitempty"`
	Refusal    string    `json:"refusal,omitempty"` // of a picture that is not accepted
	Model      modelName `json:"model"`
	// Of --sort-into: where the picture is now, or why it is not sorted.
	Sorted    string `json:"sorted,omitempty"`
	SortError string `json:"sort_error,omitempty"`
}

// pictureError is a line of --json about a picture without an answer.
type pictureError struct {
	Picture string         `json:"picture"`
	Error   pictureFailure `json:"error"`
}

// answer is what a model says of a picture, and what it took.
type answer struct {
	model.Answer
	decoding, inference time.Duration
}

// newTimedAnswerer returns a function that answers an encoded picture as classifier.Judge
// does, and measures the two halves of it.
func newTimedAnswerer(classifier *model.Classifier) func(context.Context, []byte) (answer, error) {
	type buffers struct{ input, row []float32 }
	spec := classifier.Spec()
	pool := sync.Pool{New: func() any {
		return &buffers{make([]float32, spec.ValueCount()), make([]float32, classifier.OutputCount())}
	}}
	return func(ctx context.Context, data []byte) (a answer, err error) {
		b := pool.Get().(*buffers)
		defer pool.Put(b)
		began := time.Now()
		if _, err := spec.Load(ctx, data, classifier.Limits(), b.input); err != nil {
			return a, err
		}
		decoded := time.Now()
		if err := classifier.Outputs(ctx, b.input, b.row); err != nil {
			return a, err
		}
		a.Answer = classifier.Answer(b.row)
		a.decoding, a.inference = decoded.Sub(began), time.Since(decoded)
		return a, nil
	}
}

// tally is what a run over many pictures comes to.
type tally struct {
	began              time.Time
	answered, failed   int
	refused            int
	refusal            string        // the model's words for those
	reading, inference time.Duration // of the pictures that were answered
	skips              *dataset.Tally
}

func (t *tally) add(a outcome[answer]) {
	t.answered++
	if !a.value.Accepted {
		t.refused++
		t.refusal = a.value.Refusal
	}
	t.reading += a.reading + a.value.decoding
	t.inference += a.value.inference
}

// speed says how fast pictures were answered, in one line.
func (t *tally) speed(elapsed time.Duration) string {
	each := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(t.answered) }
	seconds := elapsed.Seconds()
	return fmt.Sprintf("%s in %.1f s: %.0f pictures/s; "+
		"a picture took %.1f ms to read and decode and %.1f ms of inference",
		count(t.answered, "picture"), seconds, float64(t.answered)/seconds, each(t.reading), each(t.inference))
}

func classify(c *cobra.Command, all []source, skips *dataset.Tally, f classifyFlags) error {
	classifier, err := model.Open(f.model, model.Options{Threads: chooseThreads(all), Accept: f.accept.threshold})
	if err != nil {
		return f.accept.hint(err)
	}
	if f.coverage && classifier.Description().Coverage == nil {
		return newNoSetsError(classifier)
	}
	var sorting *sorter
	if f.into != "" {
		if err := requireSingleLabel(classifier); err != nil {
			return fmt.Errorf("--sort-into: %w", err)
		}
		if err := checkSortable(f.action(), all); err != nil {
			return err
		}
		if sorting, err = openSorter(f.into, f.action(), classifier.DistinctClasses(), findRefusal(classifier)); err != nil {
			return fmt.Errorf("--sort-into %s: %w", f.into, err)
		}
		if all, err = dropSorted(c, sorting, all); err != nil {
			return errors.Join(err, sorting.close())
		}
	}
	t := tally{began: time.Now(), skips: skips}
	err = classifyAll(c, classifier, sorting, all, f, &t)
	if sorting != nil {
		if sorting.sorted > 0 {
			saySorted(c, sorting)
		}
		err = errors.Join(err, sorting.close())
	}
	if err != nil {
		return err
	}
	sayTotals(c, &t)
	return closeSources(c, all, t.failed, skips)
}

// sayTotals ends classify with what a person wants to know of many pictures.
func sayTotals(c *cobra.Command, t *tally) {
	if t.answered > 1 {
		if t.refused > 0 {
			say(c, "%d of %s: %s", t.refused, count(t.answered, "picture"), escape(t.refusal))
		}
		say(c, "%s", t.speed(time.Since(t.began)))
	}
}

// dropSorted leaves out the sources that are sorted already, and says so.
func dropSorted(c *cobra.Command, s *sorter, all []source) ([]source, error) {
	rest, leftOut := s.dropSorted(all)
	if leftOut > 0 {
		say(c, "%s in folders of classes in %s ignored: sorted already", count(leftOut, "picture"), escape(s.into))
	}
	if len(rest) == 0 {
		return nil, fmt.Errorf("all pictures are in folders of classes in %s already", s.into)
	}
	return rest, nil
}

// saySorted says what was sorted, and how to undo it.
func saySorted(c *cobra.Command, s *sorter) {
	verb := map[sortAction]string{sortCopy: "copied", sortLink: "linked", sortMove: "moved"}[s.action]
	into := escape(s.into)
	pictures := count(s.sorted, "picture")
	say(c, "%s %s into folders of %s; garb classify --undo-sort %s undoes it", verb, pictures, into, into)
}

// classifyAll answers on all sources, sorts them if sorting is not nil, and prints. Each
// picture is sorted and logged before the next, so that it can be stopped at any.
func classifyAll(c *cobra.Command, classifier *model.Classifier, sorting *sorter, all []source,
	f classifyFlags, t *tally) error {
	out := bufio.NewWriter(c.OutOrStdout())
	p, err := newAnswerPrinter(c, out, classifier, f)
	if err != nil {
		return err
	}
	return each(c.Context(), all, c.InOrStdin(), classifier.Limits(), newTimedAnswerer(classifier),
		func(a outcome[answer]) (err error) {
			defer func() { err = errors.Join(err, p.flush(), out.Flush()) }()
			if a.err != nil {
				t.failed++
				t.skips.Add(dataset.FindReason(a.err), a.source.name, explainError(a.err))
				return p.printFailure(a.source.name, a.err)
			}
			t.add(a)
			var s placement
			if sorting != nil {
				class := a.value.Predictions[0].Index
				if !a.value.Accepted {
					class = refused
				}
				s.path, s.err = sorting.put(a.source.name, class)
				var unlogged *sortLogError
				if errors.As(s.err, &unlogged) {
					return s.err
				}
				if s.err != nil {
					t.failed++
					t.skips.Add(dataset.ReasonUnreadable, a.source.name, s.err.Error())
					fmt.Fprintf(c.ErrOrStderr(), "garb: %s: not sorted: %v\n", escape(a.source.name), s.err)
				}
			}
			return p.printAnswer(a.source.name, a.value.Answer, s)
		})
}

// placement is what became of a picture that was to be sorted.
type placement struct {
	path string
	err  error
}

// answerPrinter writes answers in one of the forms of classify.
type answerPrinter interface {
	printAnswer(name string, a model.Answer, s placement) error
	printFailure(name string, err error) error
	flush() error
}

func newAnswerPrinter(c *cobra.Command, out io.Writer, classifier *model.Classifier, f classifyFlags) (
	answerPrinter, error) {
	switch {
	case f.asCSV:
		own := []string{"picture", "class"}
		if classifier.Judges() {
			own = append(own, "accepted", "acceptance")
		}
		if classifier.Description().MultiLabel {
			own = append(own, "labels")
		}
		table, err := newPredictionTable(out, classifier, own...)
		return csvAnswers{table, c.ErrOrStderr()}, err
	case f.asJSON:
		return jsonAnswers{json.NewEncoder(out), f.top, modelName{classifier.Name(), classifier.Digest()},
			classifier.List, f.coverage}, nil
	}
	return textAnswers{out, c.ErrOrStderr(), f.top, supportsColour(c.OutOrStdout()), f.coverage}, nil
}

// csvAnswers writes a table; what has no answer is told to people too.
type csvAnswers struct {
	*predictionTable
	errOut io.Writer
}

func (p csvAnswers) printAnswer(name string, a model.Answer, s placement) error {
	own := []string{name, a.Predictions[0].Class}
	if a.Judged {
		own = append(own, strconv.FormatBool(a.Accepted), formatProbability(a.Acceptance))
	}
	if a.Labels != nil {
		own = append(own, strings.Join(a.Labels, "; "))
	}
	if s.err != nil {
		return p.predictionTable.writeUnsorted(s.err, a.Predictions, own...)
	}
	return p.predictionTable.writeAnswer(a.Predictions, own...)
}

func (p csvAnswers) printFailure(name string, err error) error {
	reportError(p.errOut, name, err)
	return p.predictionTable.writeFailure(explainError(err), name, "")
}

// jsonAnswers writes a line for each picture, those without an answer too.
type jsonAnswers struct {
	lines *json.Encoder
	top   int
	model modelName
	list  func([]model.Prediction) []model.ListedPrediction
	sets  bool // show prediction sets
}

func (p jsonAnswers) printAnswer(name string, a model.Answer, s placement) error {
	best := a.Predictions[0]
	line := pictureAnswer{
		Picture: name, Class: best.Class, Probability: best.Probability,
		Predictions: p.list(a.Predictions[:min(p.top, len(a.Predictions))]), Model: p.model, Sorted: s.path,
	}
	if p.sets {
		line.Set = a.Set
	}
	if a.Labels != nil {
		line.Labels = &a.Labels
	}
	if a.Judged {
		line.Accepted, line.Acceptance = &a.Accepted, &a.Acceptance
	}
	if !a.Accepted {
		line.Refusal = a.Refusal
	}
	if s.err != nil {
		line.SortError = s.err.Error()
	}
	return p.lines.Encode(line)
}

func (p jsonAnswers) printFailure(name string, err error) error {
	return p.lines.Encode(pictureError{name, describeFailure(err)})
}

func (jsonAnswers) flush() error { return nil }

// textAnswers writes for people.
type textAnswers struct {
	out, errOut io.Writer
	top         int
	colour      bool
	sets        bool // show prediction sets
}

func (p textAnswers) printAnswer(name string, a model.Answer, _ placement) error {
	if !a.Accepted {
		_, err := fmt.Fprintf(p.out, "%s\n  %s\n", escape(name), makeBold(formatRefusal(a), p.colour))
		return err
	}
	err := writeAnswer(p.out, name, a.Predictions[:min(p.top, len(a.Predictions))], p.colour)
	if err == nil && a.Labels != nil {
		labels := "none is above 50 %"
		if len(a.Labels) > 0 {
			labels = "labels: " + escape(strings.Join(a.Labels, ", "))
		}
		_, err = fmt.Fprintf(p.out, "  %s\n", labels)
	}
	if err == nil && p.sets {
		_, err = fmt.Fprintf(p.out, "  set: %s\n", escape(strings.Join(a.Set, ", ")))
	}
	return err
}

func (p textAnswers) printFailure(name string, err error) error {
	reportError(p.errOut, name, err)
	return nil
}

func (textAnswers) flush() error { return nil }

// requireSingleLabel reports a model whose classes do not exclude each other, where one of them is
// needed.
func requireSingleLabel(m *model.Classifier) error {
	if m.Description().MultiLabel {
		return fmt.Errorf("%s is a multi-label model: it says yes or no to each class, and does not choose one of them", m.Name())
	}
	return nil
}

// barWidth is the length of a bar for certainty, in characters.
const barWidth = 20

// makeBold makes a line bold on a terminal, if wanted.
func makeBold(line string, wanted bool) string {
	if !wanted {
		return line
	}
	return "\x1b[1m" + line + "\x1b[0m"
}

// writeAnswer writes a picture's name and a line for each class with a bar.
func writeAnswer(w io.Writer, name string, shown []model.Prediction, colour bool) error {
	width := 0
	for _, p := range shown {
		width = max(width, len([]rune(escape(p.Class))))
	}
	fmt.Fprintln(w, escape(name))
	for i, p := range shown {
		full := int(math.Round(p.Probability * barWidth))
		bar := strings.Repeat("█", full) + strings.Repeat("░", barWidth-full)
		class := escape(p.Class)
		class += strings.Repeat(" ", width-len([]rune(class)))
		line := fmt.Sprintf("  %s  %5.1f %%  %s", class, 100*p.Probability, bar)
		if _, err := fmt.Fprintln(w, makeBold(line, colour && i == 0)); err != nil {
			return err
		}
	}
	return nil
}
