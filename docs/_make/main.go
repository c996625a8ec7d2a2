// Command _make draws docs/classify.svg: a picture beside what garb really
// prints for it. Run it in the project's root: go run ./docs/_make/main.go
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

const (
	picture = "examples/t-shirt.jpg"
	out     = "docs/classify.svg"
)

func main() {
	pixels, err := os.ReadFile(picture)
	if err != nil {
		log.Fatal(err)
	}
	printed, err := exec.Command("go", "run", "./cmd/garb", "classify", "--top", "3", picture).Output()
	if err != nil {
		log.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" width="860" height="250" viewBox="0 0 860 250">
<title>garb classify: a drawn T-shirt and the answer</title>
<rect width="860" height="250" rx="10" fill="#1e2127"/>
<image href="data:image/jpeg;base64,` + base64.StdEncoding.EncodeToString(pixels) + `" x="20" y="20" width="180" height="210" preserveAspectRatio="xMidYMid meet"/>
<g font-family="ui-monospace,Menlo,Consolas,monospace" font-size="15" fill="#d7dae0">
`)
	lines := append([]string{"$ garb classify --top 3 " + picture, ""}, strings.Split(strings.TrimRight(string(printed), "\n"), "\n")...)
	for i, line := range lines {
		fmt.Fprintf(&b, "<text style=\"white-space:pre\" x=\"225\" y=\"%d\">%s</text>\n", 60+24*i, html.EscapeString(line))
	}
	b.WriteString("</g>\n</svg>\n")
	if err := os.WriteFile(out, []byte(b.String()), 0o644); err != nil {
		log.Fatal(err)
	}
}
