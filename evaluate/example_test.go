package evaluate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"garb/dataset"
	"garb/evaluate"
	"garb/model"
	"garb/picture"
)

// folderOfGarments copies the example pictures to a temporary folder, each to the folder of its
// class.
func folderOfGarments() string {
	folder, err := os.MkdirTemp("", "garments")
	if err != nil {
		log.Fatal(err)
	}
	for _, class := range []string{"dress", "longsleeve", "pants", "skirt", "t-shirt"} {
		data, err := os.ReadFile(filepath.Join("..", "examples", class+".jpg"))
		if err != nil {
			log.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(folder, class), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, class, "1.jpg"), data, 0o644); err != nil {
			log.Fatal(err)
		}
	}
	return folder
}

// Run classifies the pictures of a data set and says how many are right. Five pictures prove
// little: the interval is wide.
func ExampleRun() {
	folder := folderOfGarments()
	defer os.RemoveAll(folder)
	set, err := dataset.Open(folder)
	if err != nil {
		fmt.Println(err)
		return
	}
	classifier, err := model.Default(model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := evaluate.Run(context.Background(), classifier, set, picture.DefaultLimits(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("accuracy %.2f of %d pictures, 95 %% interval %.2f to %.2f\n",
		report.Accuracy, report.Count, report.Interval[0], report.Interval[1])
	// Output: accuracy 1.00 of 5 pictures, 95 % interval 0.57 to 1.00
}

// brightness is a classifier of two classes by the brightness of a picture's first pixel.
type brightness struct{}

func (brightness) Classes() []string { return []string{"dark", "light"} }

func (brightness) Classify(ctx context.Context, data []byte) ([]model.Prediction, error) {
	p, err := picture.Decode(ctx, data, picture.DefaultLimits())
	if err != nil {
		return nil, err
	}
	light := float64(p.Pix[0]) / 255
	dark := model.Prediction{Class: "dark", Probability: 1 - light, Index: 0}
	if light > 0.5 {
		return []model.Prediction{{Class: "light", Probability: light, Index: 1}, dark}, nil
	}
	return []model.Prediction{dark, {Class: "light", Probability: light, Index: 1}}, nil
}

// Anything with classes that answers pictures can be measured: here a classifier that looks at
// one pixel.
func ExampleClassifier() {
	set := &dataset.Set{Classes: []string{"light"}, Samples: []dataset.Sample{
		{Path: "../examples/pants.jpg", Label: 0}, {Path: "../examples/t-shirt.jpg", Label: 0},
	}}
	report, err := evaluate.Run(context.Background(), brightness{}, set, picture.DefaultLimits(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Classes, "accuracy", report.Accuracy, "of", report.Count)
	// Output: [light] accuracy 1 of 2
}

// answers are predictions for n pictures of each of the classes; the last wrong ones of each class
// are taken for the next class.
func answers(classes []string, n, wrong int) (*dataset.Set, []string, [][]model.Prediction) {
	set := &dataset.Set{Classes: classes}
	var digests []string
	var all [][]model.Prediction
	for label := range classes {
		for i := range n {
			first := label
			if i >= n-wrong {
				first = (label + 1) % len(classes)
			}
			path := fmt.Sprintf("%s-%d.jpg", classes[label], i)
			set.Samples = append(set.Samples, dataset.Sample{Path: path, Label: label})
			digests = append(digests, fmt.Sprintf("%064x", len(digests)))
			predictions := []model.Prediction{{Class: classes[first], Probability: 0.8, Index: first}}
			for c := range classes {
				if c != first {
					p := model.Prediction{Class: classes[c], Probability: 0.2 / float64(len(classes)-1), Index: c}
					predictions = append(predictions, p)
				}
			}
			all = append(all, predictions)
		}
	}
	return set, digests, all
}

// A report says of each class how often it was found, and what it was taken for. Of makes it of
// answers that are known already.
func ExampleReport() {
	set, digests, predictions := answers([]string{"pants", "shorts", "skirt"}, 20, 2)
	report := evaluate.Summarize(set.Classes, set, digests, predictions)
	fmt.Printf("accuracy %.2f, macro F1 %.2f\n", report.Accuracy, report.MacroF1)
	for i, c := range report.PerClass {
		fmt.Printf("%-6s recall %.2f, taken for %v\n", c.Class, c.Recall, report.Confusion[i])
	}
	fmt.Println(report.Wrong[0].Picture, "was taken for", report.Wrong[0].Predicted)
	// Output:
	// accuracy 0.90, macro F1 0.90
	// pants  recall 0.90, taken for [18 2 0]
	// shorts recall 0.90, taken for [0 18 2]
	// skirt  recall 0.90, taken for [2 0 18]
	// pants-18.jpg was taken for shorts
}

// McNemar's test says whether two classifiers differ on the same pictures, or whether chance
// explains it.
func ExampleCompare() {
	classes := []string{"pants", "shorts"}
	set, digests, predictions := answers(classes, 50, 3)
	a := evaluate.Summarize(classes, set, digests, predictions)
	_, _, predictions = answers(classes, 50, 12)
	b := evaluate.Summarize(classes, set, digests, predictions)
	c, err := evaluate.Compare(a, b)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("accuracy %.2f and %.2f\n", c.A.Accuracy, c.B.Accuracy)
	fmt.Println("only A is right:", c.OnlyA, "only B:", c.OnlyB, "chance explains it:", c.PValue > 0.05)
	// Output:
	// accuracy 0.94 and 0.76
	// only A is right: 18 only B: 0 chance explains it: false
}

// Data sets often spell classes otherwise than a model does.
func ExampleMapClasses() {
	known := []string{"dress", "pants", "t-shirt"}
	m, err := evaluate.MapClasses([]string{"Dress", "T_Shirt"}, known)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.To)

	_, err = evaluate.MapClasses([]string{"dress", "pant"}, known)
	var unknown *evaluate.UnknownClassesError
	if errors.As(err, &unknown) {
		fmt.Println(unknown.Unknown[0].Class, "is unknown; similar:", unknown.Unknown[0].Closest)
	}
	// Output:
	// [dress t-shirt]
	// pant is unknown; similar: [pants]
}

// Wilson's interval holds for few pictures too, and stays within 0 and 1.
func ExampleWilson() {
	for _, count := range []int{10, 100, 1000} {
		interval := evaluate.Wilson(9*count/10, count)
		fmt.Printf("90 %% of %4d: %.3f to %.3f\n", count, interval[0], interval[1])
	}
	// Output:
	// 90 % of   10: 0.596 to 0.982
	// 90 % of  100: 0.826 to 0.945
	// 90 % of 1000: 0.880 to 0.917
}

// A network that is 99 % sure and wrong in one picture of five needs a temperature well above 1.
func ExampleTemperature() {
	var logits [][]float32
	var labels []int
	for i := range 100 {
		logits = append(logits, []float32{5, 0})
		label := 0
		if i%5 == 0 {
			label = 1
		}
		labels = append(labels, label)
	}
	temperature := evaluate.Temperature(logits, labels)
	d := model.Description{Temperature: temperature}
	fmt.Printf("before %.2f, after %.1f\n",
		(&model.Description{}).Probabilities(logits[0])[0], d.Probabilities(logits[0])[0])
	// Output: before 0.99, after 0.8
}

// A calibrated classifier that is 80 % sure is right in 80 of 100 pictures. This one is right in 60.
func ExampleCalibration() {
	set, digests, predictions := answers([]string{"pants", "shorts"}, 50, 20)
	report := evaluate.Summarize(set.Classes, set, digests, predictions)
	ece, bins := evaluate.Calibration(report.Answers)
	fmt.Printf("expected calibration error %.2f\n", ece)
	for _, b := range bins {
		if b.Count > 0 {
			fmt.Printf("%d answers are %.0f %% sure and %.0f %% right\n", b.Count, 100*b.Confidence, 100*b.Accuracy)
		}
	}
	// Output:
	// expected calibration error 0.20
	// 100 answers are 80 % sure and 60 % right
}

// Flipped answers by a picture and its mirror image together.
func ExampleFlipped() {
	classifier, err := model.Default(model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := os.ReadFile("../examples/skirt.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	predictions, err := evaluate.NewFlipped(classifier).Classify(context.Background(), data)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(predictions[0].Class)
	// Output: skirt
}

// MeasureOthers says how well a model refuses pictures of none of its classes, such as a cat.
func ExampleMeasureOthers() {
	folder := folderOfGarments()
	defer os.RemoveAll(folder)
	set, err := dataset.Open(folder)
	if err != nil {
		fmt.Println(err)
		return
	}
	classifier, err := model.Default(model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, limits := context.Background(), picture.DefaultLimits()
	report, err := evaluate.Run(ctx, classifier, set, limits, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	others := []string{"../examples/cat.jpg"}
	if err := evaluate.MeasureOthers(ctx, classifier, report, others, others, set, limits, nil); err != nil {
		fmt.Println(err)
		return
	}
	own := report.Acceptance.Own
	fmt.Println("garments accepted:", own.Accepted.Part, "of", own.Accepted.Of)
	fmt.Println("others accepted:", own.FalseAccepts.Part, "of", own.FalseAccepts.Of)
	// Output:
	// garments accepted: 5 of 5
	// others accepted: 0 of 1
}

// Prediction sets are fitted on validation pictures and measured on test pictures.
func ExampleMeasureSets() {
	classes := []string{"pants", "shorts", "skirt"}
	set, digests, predictions := answers(classes, 40, 8)
	validation := evaluate.Summarize(classes, set, digests, predictions)
	for i := range digests {
		digests[i] = "f" + digests[i][1:] // other pictures
	}
	test := evaluate.Summarize(classes, set, digests, predictions)
	coverage, err := evaluate.FitSets(validation, test, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	sets := evaluate.MeasureSets(test, coverage, "validation")
	fmt.Printf("one class is right for %.2f of the pictures, a set for %.2f\n", test.Accuracy, sets.Coverage)
	// Output: one class is right for 0.80 of the pictures, a set for 1.00
}

// Many settings that are tried on few pictures differ by chance. ComparePairs counts the pictures,
// the seeds and the number of comparisons.
func ExampleComparePairs() {
	random := rand.New(rand.NewPCG(1, 1))
	trial := func(accuracy float64) evaluate.Trial {
		right := make([]bool, 1000)
		for i := range right {
			right[i] = random.Float64() < accuracy
		}
		return evaluate.Trial{Pictures: "validation", Right: right}
	}
	settings := [][]evaluate.Trial{ // two seeds each
		{trial(0.90), trial(0.90)}, {trial(0.90), trial(0.90)}, {trial(0.70), trial(0.70)},
	}
	pairs := evaluate.ComparePairs(settings)
	for b := 1; b < len(settings); b++ {
		fmt.Println("settings 0 and", b, "differ:", pairs[0][b].Adjusted <= 0.05)
	}
	// Output:
	// settings 0 and 1 differ: false
	// settings 0 and 2 differ: true
}

// Three tests at once: only the first p-value is still below 0.05 after Holm's correction.
func ExampleHolm() {
	fmt.Printf("%.3f\n", evaluate.Holm([]float64{0.01, 0.04, 0.03}))
	// Output: [0.030 0.060 0.060]
}

// A document becomes one HTML page.
func ExampleWritePage() {
	set, digests, predictions := answers([]string{"pants", "shorts"}, 50, 3)
	report := evaluate.Summarize(set.Classes, set, digests, predictions)
	report.Wrong = nil // the pictures of this example do not exist
	var page bytes.Buffer
	err := evaluate.WritePage(context.Background(), &page, evaluate.Document{
		Title: "Pants or shorts", Parts: []evaluate.Part{{Name: "test", Report: report}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.Contains(page.String(), "<h1>Pants or shorts</h1>"))
	// Output: true
}

// Curves of a training are charts for people.
func ExampleCharts() {
	charts := evaluate.Charts([]evaluate.Curve{
		{Epoch: 1, Loss: 0.9, Accuracy: 0.6, ValidationLoss: 1.0, ValidationAccuracy: 0.5, LearningRate: 0.001},
		{Epoch: 2, Loss: 0.5, Accuracy: 0.8, ValidationLoss: 0.8, ValidationAccuracy: 0.7, LearningRate: 0.001},
	})
	for _, s := range charts["accuracy"].Series {
		fmt.Println(s.Name, s.Y)
	}
	// Output:
	// training [0.6 0.8]
	// validation [0.5 0.7]
}

// Pictures of classes that a model does not know are left out and counted.
func ExampleMapping() {
	set := &dataset.Set{
		Classes: []string{"Dress", "kilt"},
		Samples: []dataset.Sample{{Path: "1.jpg", Label: 0}, {Path: "2.jpg", Label: 1}, {Path: "3.jpg", Label: 1}},
	}
	m, err := evaluate.MapClasses(set.Classes, []string{"dress", "pants"})
	var unknown *evaluate.UnknownClassesError
	if err != nil && !errors.As(err, &unknown) {
		fmt.Println(err)
		return
	}
	known := m.Apply(set)
	fmt.Println(len(known.Samples), "picture left")
	for _, i := range m.Ignored {
		fmt.Println(i.Class, i.Pictures, "left out")
	}
	// Output:
	// 1 picture left
	// kilt 2 left out
}
