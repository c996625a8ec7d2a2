package main

import (
	"errors"
	"fmt"
	"testing"

	"garb/answers"
	"garb/convert"
	"garb/crops"
	"garb/dataset"
	"garb/evaluate"
	"garb/model"
	"garb/picture"
	"garb/relabel"
	"garb/serve"
	"garb/train"
	"garb/weights"
)

// TestHints: each error of a library package gets its hint, however it is wrapped; other
// errors stay as they are.
func TestHints(t *testing.T) {
	skipSmall(t, "service")
	table := dataset.Problem{Kind: dataset.ProblemTable, Message: "no labels"}
	alike := dataset.Problem{Kind: dataset.ProblemAlike, Message: "Hat and hat"}
	division := dataset.Problem{Kind: dataset.ProblemDivision, Message: "one hat"}
	for _, c := range []struct {
		err  error
		want string // "" for no hint
	}{
		{&dataset.OptionsError{Option: "group_by", Message: "x"}, "see --group-by"},
		{table, hintForProblem(table)},
		{errors.Join(table, alike), hintForProblem(table) + "; " + hintForProblem(alike)},
		{errors.Join(division, fmt.Errorf("again: %w", division)), hintForProblem(division)},
		{dataset.Problem{Kind: dataset.ProblemGroupLeak, Message: "x"}, ""},
		{&dataset.DownloadError{Name: "some", URL: "u", Err: errors.New("x")},
			"download the archive elsewhere and run: garb data pull some --from ARCHIVE"},
		{&crops.NamesError{Message: "x"}, "see --names"},
		{&crops.RuleError{Field: "min_pixels", Message: "x"}, "see --min-pixels"},
		{&crops.RuleError{Field: "ignore", Message: "x", Name: "boot", Known: []string{"boots", "coat"}},
			"did you mean boots? (--ignore)"},
		{&crops.RuleError{Field: "classes", Message: "x", Name: "zebra", Known: []string{"boots", "coat"}},
			"the names are boots, coat (--classes)"},
		{&evaluate.UnknownClassesError{},
			"use --exclude or --merge, or --ignore-unknown-classes to evaluate the rest"},
		{&relabel.ProblemsError{Problems: []relabel.Problem{{NewClass: true}}},
			"use --new-classes to allow labels that no picture has yet"},
		{&relabel.ProblemsError{Problems: []relabel.Problem{{}}}, ""},
		{picture.ErrTruncated, "to read what is there of it, use --truncated keep"},
		{picture.ErrTooManyPixels, "to read it as it is, raise --max-pixels"},
		{model.ErrNoAcceptance, "omit --accept, or use --accept all"},
		{model.ErrNoClasses, "train a model on them with garb train, or use garb embed --weights"},
		{&answers.LockedError{Folder: "f"}, "choose another folder with --log-answers"},
		{serve.ErrTLSPair, "use both --tls-cert and --tls-key"},
		{&train.RunExistsError{Folder: "f", Resumable: true},
			"continue it with --resume, choose another folder with --out, or remove it"},
		{&train.RunExistsError{Folder: "f"}, "choose another folder with --out, or remove it"},
		{&train.RunFinishedError{Folder: "f", Epochs: 3}, "raise --epochs to continue"},
		{&train.LockedError{Folder: "f"}, "wait until it has ended, or train into another folder"},
		{&train.BinaryClassesError{Data: "d", Classes: 3}, "omit --binary"},
		{&train.DivergedError{LearningRate: 1}, "try a smaller --learning-rate, or --clip-norm 1"},
		{&train.MixedError{Folder: "f"}, "choose another folder with --out"},
		{&convert.ClassesError{Outputs: 3},
			"use --classes A,B,..., or --classes-from DIR for the folders of a data set"},
		{&convert.PreprocessError{}, "use --preprocess"},
		{&weights.MissingError{Name: "xception"}, "run: garb models pull xception"},
		{&weights.DownloadError{Name: "xception", Err: errors.New("x")},
			"download it elsewhere and run: garb models pull xception --from FILE"},
		{&weights.KerasFileError{Path: "a.h5"}, "convert it first: garb convert a.h5 OUT.safetensors"},
		{&weights.NotANetworkError{Path: "a"}, "see garb models list for the known networks"},
		{errors.New("x"), ""},
	} {
		for _, err := range []error{c.err, fmt.Errorf("a file: %w", c.err), failure{errors.Join(nil, c.err)}} {
			want := err.Error()
			if c.want != "" {
				want += "; " + c.want
			}
			got := addHint(err)
			if got.Error() != want || !errors.Is(got, err) {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
}

func TestNoErrorHasNoHint(t *testing.T) {
	if addHint(nil) != nil {
		t.Error("no error has a hint")
	}
}

// TestFinalErrorHasHint: garb adds the hint to the error that it prints.
func TestFinalErrorHasHint(t *testing.T) {
	t.Setenv("GARB_HOME", t.TempDir())
	mustRefuse(t, "; run: garb models pull xception\n", "models", "show", "xception")
}
