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
	"github.com/spf13/pflag"

	"garb/dataset"
	"garb/model"
	"garb/results"
	"garb/shard"
)

// classifyFlags holds the flags of classify.
type classifyFlags struct {
	model            string
	top              int
	asJSON, asCSV    bool
	coverage         bool   // show prediction sets
	into             string // folder to sort into
	link, copy, move bool
	undo             string // folder that was sorted into, or its log
	accept           acceptFlag
	accepted         limitFlags
	output           outputFlags
}

const classifyHelp = `Classify pictures: files, all pictures below folders, or - for standard input. A quoted
pattern such as 'pics/*.jpg' is expanded. The formats are JPEG, PNG, GIF, WebP, BMP, TIFF,
ICO, AVIF and HEIC, recognized by content, not by file name.

Most models first decide whether a picture shows any of their classes. If not, they refuse
it: the answer is a refusal, such as "not clothing", with the closest class. --accept 0.8
sets the acceptance threshold for this command, and --accept all refuses nothing. A
refusal is a valid answer, so the exit code is 0.

--json prints "accepted" and "acceptance" (0 to 1) if the model can refuse, and "refusal"
for a refused picture; "class" is then the closest class.

--csv prints a table with the columns picture, class, accepted and acceptance (if the
model can refuse), probability, one column with the probability of each class, and error,
which says why a picture has no answer.

--out FILE writes to a file instead of standard output, once it is complete.
` + shardHelp + `

--sort-into DIR copies each picture to DIR/CLASS, or to DIR/not clothing (the model's
refusal) if it is refused. --link makes symbolic links instead of copies, --move moves the
pictures. No file is ever overwritten: if a name is taken, -2, -3 and so on is added
before the extension. Pictures that are already in a class folder of DIR are ignored.
DIR/.garb-sorted.jsonl logs every change. --undo-sort DIR undoes them all: it moves
pictures back, and removes copies and links that nobody has changed since.

A picture that cannot be read does not stop the others. The exit code is 0 if every
picture has an answer, 1 if some have none, and 2 if arguments or flags are wrong.`

const classifyExamples = `  garb classify photo.jpg
  garb classify --top 3 wardrobe/
  garb classify 'wardrobe/*-front.jpg'
  garb classify --model imagenet --json photo.jpg | jq .class
  garb classify --model runs/mine --coverage photo.jpg   # a model of garb train --coverage
  garb classify --csv wardrobe/ > answers.csv
  garb classify --json --shard 0/2 --out answers.jsonl wardrobe/   # on one machine
  garb classify --json --shard 1/2 --out answers.jsonl wardrobe/   # on another
  garb merge 'answers.jsonl-*-of-00002' --out answers.jsonl
  garb classify --json inbox/ | jq -r 'select(.accepted == false).picture'
  garb classify --accept all photo.jpg
  garb classify --sort-into sorted/ --move inbox/
  garb classify --undo-sort sorted/
  curl -s https://example.org/shirt.jpg | garb classify -`

func newClassifyCommand() *cobra.Command {
	var f classifyFlags
	command := &cobra.Command{
		Use:     "classify [flags] PICTURE|DIR|- ...",
		Short:   "Classify pictures",
		Long:    classifyHelp,
		Example: classifyExamples,
		Args:    func(c *cobra.Command, args []string) error { return f.validate(c, args) },
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
	addModelFlag(flags, &f.model)
	flags.IntVar(&f.top, "top", 3, "number of classes to show (top-k)")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object per line")
	flags.BoolVar(&f.coverage, "coverage", false,
		"show the prediction set, which contains the correct class with the probability given to garb train --coverage")
	flags.BoolVar(&f.asCSV, "csv", false, "print a CSV table with a column for each class")
	flags.StringVar(&f.into, "sort-into", "", "sort the pictures into a folder for each class, below this folder")
	flags.BoolVar(&f.copy, "copy", false, "with --sort-into: copy the pictures (the default)")
	flags.BoolVar(&f.link, "link", false, "with --sort-into: make symbolic links to the pictures")
	flags.BoolVar(&f.move, "move", false, "with --sort-into: move the pictures")
	addAcceptFlag(flags, &f.accept)
	f.accepted.add(flags)
	addStrictFlag(command)
	f.output.add(flags, "write the answers to this `FILE` instead of standard output")
	flags.StringVar(&f.undo, "undo-sort", "", "undo what --sort-into did in this folder")
	return command
}

// addModelFlag adds --model, for commands that use one model.
func addModelFlag(flags *pflag.FlagSet, name *string) {
	flags.StringVar(name, "model", model.Clothing, "model: a file, a run's folder, clothing, garments or imagenet")
}

// exclusiveWithUndo lists the flags that --undo-sort excludes.
var exclusiveWithUndo = []string{
	"model", "top", "json", "csv", "coverage", "sort-into", "link", "copy", "move", "accept",
	"max-pixels", "truncated", outFlag, shardFlag,
}

// validate reports flags and arguments that do not go together.
func (f classifyFlags) validate(c *cobra.Command, args []string) error {
	if f.undo != "" {
		return f.validateUndo(c, args)
	}
	actions := 0
	for _, given := range []bool{f.link, f.copy, f.move} {
		if given {
			actions++
		}
	}
	switch {
	case len(args) == 0:
		return errors.New("classify needs a picture, a folder of pictures, or - for standard input")
	case f.top < 1:
		return fmt.Errorf("--top %d: it must be at least 1", f.top)
	case f.asJSON && f.asCSV:
		return errors.New("--json and --csv exclude each other")
	case f.asCSV && f.coverage:
		return errors.New("--csv and --coverage exclude each other; use --json to get prediction sets")
	case f.asCSV && c.Flags().Changed("top"):
		return errors.New("--csv and --top exclude each other: the table has a column for every class")
	case actions > 0 && f.into == "":
		return errors.New("--copy, --link and --move require --sort-into")
	case actions > 1:
		return errors.New("--copy, --link and --move exclude each other")
	case f.into != "" && slices.Contains(args, standardInput):
		return errors.New("--sort-into cannot sort standard input: save the picture as a file first")
	case f.into != "" && f.output.shard.isSet():
		return errors.New("--sort-into and --shard exclude each other: one process at a time can sort into a folder")
	case f.output.shard.isSet() && slices.Contains(args, standardInput):
		return errors.New("--shard cannot divide standard input: save the picture as a file first")
	}
	return f.output.validate()
}

// validateUndo reports flags and arguments that do not go with --undo-sort.
func (f classifyFlags) validateUndo(c *cobra.Command, args []string) error {
	for _, name := range exclusiveWithUndo {
		if c.Flags().Changed(name) {
			return fmt.Errorf("--undo-sort and --%s exclude each other", name)
		}
	}
	if len(args) > 0 {
		return fmt.Errorf("--undo-sort undoes everything that was sorted into its folder; omit %q", args[0])
	}
	return nil
}

// action returns how pictures are sorted.
func (f classifyFlags) action() sortAction {
	switch {
	case f.link:
		return sortLink
	case f.move:
		return sortMove
	}
	return sortCopy
}

// answer is a model's answer for a picture, and the time it took.
type answer struct {
	model.Answer
	decoding, inference time.Duration
}

// newTimedAnswerer returns a function that classifies an encoded picture as
// classifier.Judge does, and measures decoding and inference.
func newTimedAnswerer(classifier *model.Classifier) func(context.Context, []byte) (answer, error) {
	type buffers struct{ input, row []float32 }
	spec := classifier.Spec()
	pool := sync.Pool{New: func() any {
		return &buffers{make([]float32, spec.ValueCount()), make([]float32, classifier.OutputCount())}
	}}
	return func(ctx context.Context, data []byte) (answer, error) {
		b := pool.Get().(*buffers)
		defer pool.Put(b)
		began := time.Now()
		if _, err := spec.Load(ctx, data, classifier.Limits(), b.input); err != nil {
			return answer{}, err
		}
		decoded := time.Now()
		if err := classifier.Outputs(ctx, b.input, b.row); err != nil {
			return answer{}, err
		}
		return answer{classifier.Answer(b.row), decoded.Sub(began), time.Since(decoded)}, nil
	}
}

// tally sums up the answers for many pictures.
type tally struct {
	began              time.Time
	answered, failed   int
	refused            int
	refusal            string        // the model's label for refused pictures
	reading, inference time.Duration // total over the answered pictures
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

// formatSpeed formats how fast pictures were classified, in one line.
func (t *tally) formatSpeed(elapsed time.Duration) string {
	each := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(t.answered) }
	seconds := elapsed.Seconds()
	return fmt.Sprintf("%s in %.1f s: %.0f pictures/s; "+
		"mean time per picture: %.1f ms to read and decode, %.1f ms for inference",
		count(t.answered, "picture"), seconds, float64(t.answered)/seconds, each(t.reading), each(t.inference))
}

// classify classifies all sources and sorts them, if wanted.
func classify(c *cobra.Command, all []source, skips *dataset.Tally, f classifyFlags) error {
	classifier, err := model.Open(f.model, model.Options{
		Threads: chooseThreads(all), Accept: f.accept.threshold, Limits: f.accepted.limits(),
	})
	if err != nil {
		return err
	}
	if f.coverage && classifier.Description().Coverage == nil {
		return newNoSetsError(classifier)
	}
	var sorting *sorter
	if f.into != "" {
		if sorting, all, err = f.startSorting(c, classifier, all); err != nil {
			return err
		}
	}
	var h shard.Header
	all, h = f.output.take(c, all, "classify "+f.formatName(), classifier.Digest())
	t := tally{began: time.Now(), skips: skips}
	err = classifyAll(c, classifier, sorting, all, f, h, &t)
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
	return f.output.close(c, all, t.failed, skips)
}

// formatName names the output format.
func (f classifyFlags) formatName() string {
	switch {
	case f.asCSV:
		return "as CSV"
	case f.asJSON:
		return "as JSON"
	}
	return "as text"
}

// startSorting opens the sorter of --sort-into, and returns the sources that it has to sort.
func (f classifyFlags) startSorting(c *cobra.Command, classifier *model.Classifier, all []source) (
	*sorter, []source, error) {
	if err := requireSingleLabel(classifier); err != nil {
		return nil, nil, fmt.Errorf("--sort-into: %w", err)
	}
	if err := checkSortable(f.action(), all); err != nil {
		return nil, nil, err
	}
	s, err := openSorter(f.into, f.action(), classifier.DistinctClasses(), findRefusal(classifier))
	if err != nil {
		return nil, nil, fmt.Errorf("--sort-into %s: %w", f.into, err)
	}
	rest, err := dropSorted(c, s, all)
	if err != nil {
		return nil, nil, errors.Join(err, s.close())
	}
	return s, rest, nil
}

// sayTotals prints how many of several pictures were refused, and the speed.
func sayTotals(c *cobra.Command, t *tally) {
	if t.answered > 1 {
		if t.refused > 0 {
			say(c, "%d of %s refused: %s", t.refused, count(t.answered, "picture"), escape(t.refusal))
		}
		say(c, "%s", t.formatSpeed(time.Since(t.began)))
	}
}

// dropSorted drops the sources that are sorted already, and says so.
func dropSorted(c *cobra.Command, s *sorter, all []source) ([]source, error) {
	rest, leftOut := s.dropSorted(all)
	if leftOut > 0 {
		say(c, "ignored %s already sorted into the class folders of %s", count(leftOut, "picture"), escape(s.into))
	}
	if len(rest) == 0 {
		return nil, fmt.Errorf("all pictures are already sorted into the class folders of %s", s.into)
	}
	return rest, nil
}

// saySorted prints how many pictures were sorted, and how to undo it.
func saySorted(c *cobra.Command, s *sorter) {
	verb := map[sortAction]string{sortCopy: "copied", sortLink: "linked", sortMove: "moved"}[s.action]
	into := escape(s.into)
	pictures := count(s.sorted, "picture")
	say(c, "%s %s into class folders of %s; to undo, run garb classify --undo-sort %s", verb, pictures, into, into)
}

// classifyAll classifies all sources, sorts them unless sorting is nil, and prints the
// answers. Each picture is sorted and logged before the next one, so that it is safe to stop
// at any time.
func classifyAll(c *cobra.Command, classifier *model.Classifier, sorting *sorter, all []source,
	f classifyFlags, h shard.Header, t *tally) error {
	var out *bufio.Writer
	var p answerPrinter
	use := func(a outcome[answer]) error {
		if a.err != nil {
			t.failed++
			t.skips.Add(dataset.FindReason(a.err), a.source.name, explainError(a.err))
			return p.printFailure(a.source.name, a.err)
		}
		t.add(a)
		var s placement
		if sorting != nil {
			var err error
			if s, err = t.sort(c, sorting, a); err != nil {
				return err
			}
		}
		return p.printAnswer(a.source.name, a.value.Answer, s)
	}
	begin := func(w io.Writer) (err error) {
		out = bufio.NewWriter(w)
		if p, err = newAnswerPrinter(c, out, classifier, f); err != nil {
			return err
		}
		return errors.Join(p.flush(), out.Flush())
	}
	return f.output.print(c, h, begin, func() (shard.End, error) {
		bar := f.output.newCounter(c, len(all))
		defer bar.finish()
		err := each(c.Context(), all, c.InOrStdin(), classifier.Limits(), newTimedAnswerer(classifier),
			func(a outcome[answer]) error {
				bar.add(1)
				return errors.Join(use(a), p.flush(), out.Flush())
			})
		return shard.End{Rows: t.answered, Failed: t.failed}, err
	})
}

// sort puts a picture into its class's folder. It counts and reports a picture that could not
// be sorted; its error is only that of the log, without which sorting must not go on.
func (t *tally) sort(c *cobra.Command, sorting *sorter, a outcome[answer]) (placement, error) {
	class := a.value.Predictions[0].Index
	if !a.value.Accepted {
		class = refused
	}
	var s placement
	s.path, s.err = sorting.put(a.source.name, class)
	var unlogged *sortLogError
	switch {
	case s.err == nil:
	case errors.As(s.err, &unlogged):
		return s, s.err
	default:
		t.failed++
		t.skips.Add(dataset.ReasonUnreadable, a.source.name, s.err.Error())
		fmt.Fprintf(c.ErrOrStderr(), "garb: %s: not sorted: %v\n", escape(a.source.name), s.err)
	}
	return s, nil
}

// placement is the new path of a picture that was sorted, or why it was not.
type placement struct {
	path string
	err  error
}

// answerPrinter prints answers in one of the output formats of classify.
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
		return jsonAnswers{json.NewEncoder(out), results.NewAnswers(classifier, f.top, f.coverage)}, nil
	}
	colour := f.output.out == "" && supportsColour(c.OutOrStdout())
	return textAnswers{out, c.ErrOrStderr(), f.top, colour, f.coverage}, nil
}

// csvAnswers prints a table. Pictures without an answer are also reported on errOut.
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
		return p.writeUnsorted(s.err, a.Predictions, own...)
	}
	return p.writeAnswer(a.Predictions, own...)
}

func (p csvAnswers) printFailure(name string, err error) error {
	reportError(p.errOut, name, err)
	return p.writeFailure(explainError(err), name, "")
}

// jsonAnswers prints a line for each picture, with an answer or an error.
type jsonAnswers struct {
	lines   *json.Encoder
	answers results.Answers
}

func (p jsonAnswers) printAnswer(name string, a model.Answer, s placement) error {
	row := p.answers.Row(name, a)
	row.Sorted = s.path
	if s.err != nil {
		row.SortError = s.err.Error()
	}
	return p.lines.Encode(row)
}

func (p jsonAnswers) printFailure(name string, err error) error {
	return p.lines.Encode(results.PictureError{Picture: name, Error: describeFailure(err)})
}

func (jsonAnswers) flush() error { return nil }

// textAnswers prints text for people.
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
		labels := "no label above 50 %"
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

// requireSingleLabel returns an error for a multi-label model, where a single class is
// needed.
func requireSingleLabel(m *model.Classifier) error {
	if m.Description().MultiLabel {
		return fmt.Errorf("%s is a multi-label model: it answers yes or no for each class, and does not choose one",
			m.Name())
	}
	return nil
}

// barWidth is the width of a probability bar, in characters.
const barWidth = 20

// makeBold returns a line in bold for a terminal, if wanted.
func makeBold(line string, wanted bool) string {
	if !wanted {
		return line
	}
	return "\x1b[1m" + line + "\x1b[0m"
}

// writeAnswer prints a picture's name and a line with a bar for each class.
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
