// Command _make draws docs/classify.svg: drawn pictures, and what garb prints for them. Run it
// in the project's root: go run ./docs/_make/main.go
package main

import (
	"encoding/base64"
	"fmt"
	"html"
	"log"
	"os"
	"os/exec"
	"strings"
)

var names = []string{"t-shirt", "dress", "pants", "longsleeve", "skirt", "cat"}

const out = "docs/classify.svg"

func main() {
	args := []string{"run", "./cmd/garb", "classify", "--top", "1"}
	for _, name := range names {
		args = append(args, "examples/"+name+".jpg")
	}
	printed, err := exec.Command("go", args...).Output()
	if err != nil {
		log.Fatal(err)
	}
	const width, column = 900, 140
	var b strings.Builder
	lines := strings.Split(strings.TrimRight(string(printed), "\n"), "\n")
	height := 270 + 22*len(lines)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d">
<title>garb classify: drawn garments and a cat, with the answers</title>
<rect width="%[1]d" height="%[2]d" rx="10" fill="#1e2127"/>
`, width, height)
	for i, name := range names {
		pixels, err := os.ReadFile("examples/" + name + ".jpg")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprintf(&b, `<image href="data:image/jpeg;base64,%s" x="%d" y="20" width="%d" height="180" `+
			`preserveAspectRatio="xMidYMid meet"/>`+"\n",
			base64.StdEncoding.EncodeToString(pixels), 25+i*(column+5), column-10)
	}
	b.WriteString("<g font-family=\"ui-monospace,Menlo,Consolas,monospace\" font-size=\"15\" fill=\"#d7dae0\">\n")
	for i, line := range append([]string{"$ garb classify --top 1 examples/*.jpg"}, lines...) {
		fmt.Fprintf(&b, `<text style="white-space:pre" x="25" y="%d">%s</text>`+"\n", 235+22*i, html.EscapeString(line))
	}
	b.WriteString("</g>\n</svg>\n")
	if err := os.WriteFile(out, []byte(b.String()), 0o644); err != nil {
		log.Fatal(err)
	}
}
