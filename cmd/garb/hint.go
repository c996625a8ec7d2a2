package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"garb/answers"
	"garb/convert"
	"garb/crops"
	"garb/dataset"
	"garb/evaluate"
	"garb/model"
	"garb/picture"
	"garb/relabel"
	"garb/train"
	"garb/weights"
)

// hints maps errors of library packages, by type, to what the person at the terminal can do
// about them. The libraries know nothing of commands and flags.
var hints = append([]func(error) string{
	hintAt(func(e *dataset.OptionsError) string { return "see --" + nameFlag(e.Option) }),
	listProblemHints,
	hintAt(func(e *crops.NamesError) string { return "see --names" }),
	hintAt(hintCropsRule),
	hintAt(func(e *evaluate.UnknownClassesError) string {
		return "use --exclude or --merge, or --ignore-unknown-classes to evaluate the rest"
	}),
	hintAt(func(e *relabel.ProblemsError) string {
		if slices.ContainsFunc(e.Problems, func(p relabel.Problem) bool { return p.NewClass }) {
			return "use --new-classes to allow labels that no picture has yet"
		}
		return ""
	}),
	hintIs(picture.ErrTruncated, "to read what is there of it, use --truncated keep"),
	hintIs(picture.ErrTooManyPixels, "to read it as it is, raise --max-pixels"),
	hintIs(model.ErrNoAcceptance, "omit --accept, or use --accept all"),
	hintIs(model.ErrNoClasses, "train a model on them with garb train, or use garb embed --weights"),
	hintAt(func(e *answers.LockedError) string { return "choose another folder with --log-answers" }),
	hintAt(func(e *train.RunExistsError) string {
		if e.Resumable {
			return "continue it with --resume, choose another folder with --out, or remove it"
		}
		return "choose another folder with --out, or remove it"
	}),
	hintAt(func(e *train.RunFinishedError) string { return "raise --epochs to continue" }),
	hintAt(func(e *train.LockedError) string { return "wait until it has ended, or train into another folder" }),
	hintAt(func(e *train.BinaryClassesError) string { return "omit --binary" }),
	hintAt(func(e *train.DivergedError) string { return "try a smaller --learning-rate, or --clip-norm 1" }),
	hintAt(func(e *train.MixedError) string { return "choose another folder with --out" }),
	hintAt(func(e *convert.ClassesError) string {
		return "use --classes A,B,..., or --classes-from DIR for the folders of a data set"
	}),
	hintAt(func(e *convert.PreprocessError) string { return "use --preprocess" }),
	hintAt(func(e *weights.MissingError) string { return "run: garb models pull " + e.Name }),
	hintAt(func(e *weights.DownloadError) string {
		return fmt.Sprintf("download it elsewhere and run: garb models pull %s --from FILE", e.Name)
	}),
	hintAt(func(e *weights.KerasFileError) string {
		return fmt.Sprintf("convert it first: garb convert %s OUT.safetensors", e.Path)
	}),
	hintAt(func(e *dataset.DownloadError) string {
		return fmt.Sprintf("download the archive elsewhere and run: garb data pull %s --from ARCHIVE", e.Name)
	}),
	hintAt(func(e *weights.NotANetworkError) string { return "see garb models list for the known networks" }),
}, serviceHints...)

// addHint adds the hint for an error of a library package, if there is one.
func addHint(err error) error {
	for _, find := range hints {
		if hint := find(err); hint != "" {
			return fmt.Errorf("%w; %s", err, hint)
		}
	}
	return err
}

// hintAt returns a function that finds an error of type E and describes what to do.
func hintAt[E error](describe func(E) string) func(error) string {
	return func(err error) string {
		var e E
		if errors.As(err, &e) {
			return describe(e)
		}
		return ""
	}
}

// hintIs returns a function that returns a hint for one error value.
func hintIs(target error, hint string) func(error) string {
	return func(err error) string {
		if errors.Is(err, target) {
			return hint
		}
		return ""
	}
}

// nameFlag returns the flag for a setting that a library names as in JSON.
func nameFlag(setting string) string { return strings.ReplaceAll(setting, "_", "-") }

// hintCropsRule names the flag of a rule, and the label that was probably meant.
func hintCropsRule(e *crops.RuleError) string {
	flag := nameFlag(e.Field)
	if e.Name == "" {
		return "see --" + flag
	}
	return fmt.Sprintf("%s (--%s)", suggest(e.Name, e.Known, "the names are "), flag)
}

// listProblemHints returns the hints for all problems of a data set that an error joins.
func listProblemHints(err error) string {
	found := map[string]bool{}
	for _, p := range listProblems(err) {
		if hint := hintForProblem(p); hint != "" {
			found[hint] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(found)), "; ")
}

// hintForProblem names the flags that help with a problem of a data set, "" if there are none.
func hintForProblem(p dataset.Problem) string {
	switch p.Kind {
	case dataset.ProblemAlike:
		return "use --merge OLD=NEW if they are the same class"
	case dataset.ProblemTable:
		return "use --labels FILE for the table, --image-column, --label-column and --group-by for its columns, and " +
			"--images for the folder of pictures"
	case dataset.ProblemDivision:
		return "use --exclude or --merge for the class, or change --validation-share and --test-share"
	}
	return ""
}

// formatProblemHint returns the hint for a problem, to be printed after its message.
func formatProblemHint(p dataset.Problem) string {
	if hint := hintForProblem(p); hint != "" {
		return "; " + hint
	}
	return ""
}

// listProblems lists the problems of a data set that an error wraps or joins.
func listProblems(err error) []dataset.Problem {
	switch e := err.(type) { //nolint:errorlint // errors.As finds only the first problem
	case dataset.Problem:
		return []dataset.Problem{e}
	case interface{ Unwrap() error }:
		return listProblems(e.Unwrap())
	case interface{ Unwrap() []error }:
		var all []dataset.Problem
		for _, inner := range e.Unwrap() {
			all = append(all, listProblems(inner)...)
		}
		return all
	}
	return nil
}
