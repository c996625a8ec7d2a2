package garb_test

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"garb"
	"garb/picture"
)

func Example() {
	classifier, err := garb.Default()
	if err != nil {
		log.Fatal(err)
	}
	photo, err := os.ReadFile("examples/t-shirt.jpg")
	if err != nil {
		log.Fatal(err)
	}
	answer, err := classifier.Classify(context.Background(), garb.FromBytes(photo))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer)
	// Output: t-shirt, 99.0 %
}

func ExampleDefault() {
	classifier, err := garb.Default()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(classifier.Name(), classifier.Classes())
	// Output: clothing [dress hat longsleeve outwear pants shirt shoes shorts skirt t-shirt]
}

func ExampleOpen() {
	classifier, err := garb.Open(garb.Garments)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(classifier.Classes()), "classes")
	// Output: 17 classes
}

// A model file may come from a database, or be part of the program.
func ExampleOpenBytes() {
	data, err := os.ReadFile("model/clothing.safetensors")
	if err != nil {
		log.Fatal(err)
	}
	classifier, err := garb.OpenBytes(data)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(classifier.Classes()), "classes")
	// Output: 10 classes
}

//go:embed model/clothing.safetensors
var models embed.FS

func ExampleOpenFS() {
	classifier, err := garb.OpenFS(models, "model/clothing.safetensors")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(classifier.Name())
	// Output: clothing
}

func ExampleModelError() {
	_, err := garb.Open("trousers")
	var wrong *garb.ModelError
	if errors.As(err, &wrong) {
		fmt.Println(wrong.Model, "is no model:", errors.Is(err, os.ErrNotExist))
	}
	// Output: trousers is no model: true
}

func ExampleClassifier_Classify() {
	classifier, err := garb.Default()
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"dress", "cat"} {
		photo, err := os.Open("examples/" + name + ".jpg")
		if err != nil {
			log.Fatal(err)
		}
		defer photo.Close()
		answer, err := classifier.Classify(context.Background(), garb.FromReader(photo))
		if err != nil {
			log.Fatal(err)
		}
		if answer.Accepted {
			fmt.Printf("%s.jpg shows a %s\n", name, answer.Class)
		} else {
			fmt.Printf("%s.jpg is %s\n", name, answer.Refusal)
		}
	}
	// Output:
	// dress.jpg shows a dress
	// cat.jpg is not clothing
}

// Many pictures go through the network together, and one bad picture does not spoil the others.
func ExampleClassifier_ClassifyBatch() {
	classifier, err := garb.Default()
	if err != nil {
		log.Fatal(err)
	}
	var pictures []garb.Picture
	for _, name := range []string{"examples/pants.jpg", "examples/skirt.jpg"} {
		var photo []byte
		if photo, err = os.ReadFile(name); err != nil {
			log.Fatal(err)
		}
		pictures = append(pictures, garb.FromBytes(photo))
	}
	pictures = append(pictures, garb.FromReader(strings.NewReader("no picture")))
	answers, err := classifier.ClassifyBatch(context.Background(), pictures)
	fmt.Println(answers[0].Class, answers[1].Class)
	var bad *garb.PictureError
	if errors.As(err, &bad) {
		fmt.Println("picture", bad.Index, "has no answer")
	}
	// Output:
	// pants skirt
	// picture 2 has no answer
}

// A handler of one's own: a Classifier may be used by all requests at once.
func ExampleClassifier() {
	classifier, err := garb.Default(garb.WithThreads(1))
	if err != nil {
		log.Fatal(err)
	}
	handle := func(w http.ResponseWriter, r *http.Request) {
		answer, wrong := classifier.Classify(r.Context(), garb.FromReader(r.Body))
		if wrong != nil {
			http.Error(w, wrong.Error(), http.StatusUnprocessableEntity)
			return
		}
		fmt.Fprintln(w, answer.Class)
	}
	photo, err := os.Open("examples/pants.jpg")
	if err != nil {
		log.Fatal(err)
	}
	defer photo.Close()
	response := httptest.NewRecorder()
	handle(response, httptest.NewRequest(http.MethodPost, "/", photo))
	fmt.Print(response.Body)
	// Output: pants
}

// The model behind a classifier is what evaluation, explanation and conversion work with.
func ExampleClassifier_Model() {
	classifier, err := garb.Default()
	if err != nil {
		log.Fatal(err)
	}
	m := classifier.Model()
	spec := m.Spec()
	fmt.Printf("%s sees pictures of %d × %d pixels and has %d features\n",
		m.Name(), spec.Width, spec.Height, m.FeatureCount())
	// Output: clothing sees pictures of 224 × 224 pixels and has 1280 features
}

func ExampleAnswer() {
	classifier, err := garb.Default()
	if err != nil {
		log.Fatal(err)
	}
	photo, err := os.ReadFile("examples/longsleeve.jpg")
	if err != nil {
		log.Fatal(err)
	}
	answer, err := classifier.Classify(context.Background(), garb.FromBytes(photo))
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range answer.Predictions[:2] {
		fmt.Printf("%-10s %3.0f %%\n", p.Class, 100*p.Probability)
	}
	var asJSON map[string]any
	text, err := json.Marshal(answer)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.Unmarshal(text, &asJSON); err != nil {
		log.Fatal(err)
	}
	fmt.Println(asJSON["class"], asJSON["accepted"])
	// Output:
	// longsleeve  98 %
	// shirt        1 %
	// longsleeve true
}

// Embeddings tell how alike two pictures are.
func ExampleAnswer_embedding() {
	classifier, err := garb.Default()
	if err != nil {
		log.Fatal(err)
	}
	embed := func(name string) []float32 {
		photo, err := os.ReadFile("examples/" + name + ".jpg")
		if err != nil {
			log.Fatal(err)
		}
		answer, err := classifier.Classify(context.Background(), garb.FromBytes(photo))
		if err != nil {
			log.Fatal(err)
		}
		return answer.Embedding
	}
	cosine := func(a, b []float32) float64 {
		var ab, aa, bb float64
		for i := range a {
			ab += float64(a[i]) * float64(b[i])
			aa += float64(a[i]) * float64(a[i])
			bb += float64(b[i]) * float64(b[i])
		}
		return ab / math.Sqrt(aa*bb)
	}
	shirt := embed("t-shirt")
	fmt.Println("a T-shirt is more like a long sleeve than like pants:",
		cosine(shirt, embed("longsleeve")) > cosine(shirt, embed("pants")))
	// Output: a T-shirt is more like a long sleeve than like pants: true
}

// A picture that the program has decoded, cropped or drawn already.
func ExampleFromImage() {
	classifier, err := garb.Default()
	if err != nil {
		log.Fatal(err)
	}
	photo, err := os.Open("examples/skirt.jpg")
	if err != nil {
		log.Fatal(err)
	}
	defer photo.Close()
	decoded, err := jpeg.Decode(photo)
	if err != nil {
		log.Fatal(err)
	}
	answer, err := classifier.Classify(context.Background(), garb.FromImage(decoded))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Class)
	// Output: skirt
}

// A stricter threshold refuses more pictures, garments among them.
func ExampleWithThreshold() {
	photo, err := os.ReadFile("examples/cat.jpg")
	if err != nil {
		log.Fatal(err)
	}
	for _, threshold := range []float64{0, 0.9} {
		classifier, err := garb.Default(garb.WithThreshold(threshold))
		if err != nil {
			log.Fatal(err)
		}
		answer, err := classifier.Classify(context.Background(), garb.FromBytes(photo))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(threshold, answer.Accepted)
	}
	// Output:
	// 0 true
	// 0.9 false
}

// Pictures from strangers are bounded before anything is decoded.
func ExampleWithLimits() {
	limits := picture.DefaultLimits()
	limits.MaxBytes = 1 << 10
	classifier, err := garb.Default(garb.WithLimits(limits))
	if err != nil {
		log.Fatal(err)
	}
	endless := io.MultiReader(strings.NewReader("\xff\xd8\xff"), zeros{})
	_, err = classifier.Classify(context.Background(), garb.FromReader(endless))
	fmt.Println(errors.Is(err, picture.ErrTooLarge))
	// Output: true
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
