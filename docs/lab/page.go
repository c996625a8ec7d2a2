package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// A page's marks are those that a reader of Markdown sees nothing odd in:
//
//	```console
//	$ garb classify photo.jpg                    run, and what it prints is set below it
//	> --top 3                                    goes on the line above
//	```
//	![…](pictures/NAME) <!-- runs/lab/FILE -->   the picture is copied from there
//	[…](pictures/NAME) <!-- draw NAME -->        or drawn, see drawings
//	<!-- course: WORDS -->                       set here: rows of docs/course.md
//	<!-- course end -->
const (
	fenceBegin, fenceEnd   = "```console", "```"
	courseBegin, courseEnd = "<!-- course: ", "<!-- course end -->"
)

// fill sets into a page what its commands print and the rows that it takes from the
// course's page. run runs the commands of one block.
func fill(text string, run func(commands []string) (printed []string, err error), rows func(words string) (string, error)) (string, error) {
	var b strings.Builder
	lines := strings.SplitAfter(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		b.WriteString(lines[i])
		switch {
		case line == fenceBegin:
			end, err := endOf(lines, i, fenceEnd)
			if err != nil {
				return "", err
			}
			commands := commandsOf(lines[i+1 : end])
			printed, err := run(commands)
			if err != nil {
				return "", err
			}
			for k, command := range commands {
				b.WriteString("$ " + strings.ReplaceAll(command, "\n", "\n> ") + "\n" + printed[k])
			}
			i = end - 1
		case strings.HasPrefix(line, courseBegin):
			end, err := endOf(lines, i, courseEnd)
			if err != nil {
				return "", err
			}
			table, err := rows(strings.TrimSuffix(strings.TrimPrefix(line, courseBegin), " -->"))
			if err != nil {
				return "", err
			}
			b.WriteString("\n" + table + "\n")
			i = end - 1
		}
	}
	return b.String(), nil
}

func endOf(lines []string, begin int, mark string) (int, error) {
	for i := begin + 1; i < len(lines); i++ {
		if strings.TrimSpace(lines[i]) == mark {
			return i, nil
		}
	}
	return 0, fmt.Errorf("line %d begins what no %s ends", begin+1, mark)
}

// commandsOf are the commands among a block's lines; a command of several lines has them
// all.
func commandsOf(lines []string) []string {
	var all []string
	goesOn := false
	for _, line := range lines {
		line = strings.TrimRight(line, "\n")
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, command)
		} else if more, ok := strings.CutPrefix(line, "> "); ok && goesOn {
			all[len(all)-1] += "\n" + more
		}
		goesOn = len(all) > 0 && strings.HasSuffix(line, `\`)
	}
	return all
}

// picture is a picture that a page shows or links to, and where it is from.
type picture struct {
	file string // below the pages' folder
	from string // a file, or "draw NAME"; "" if the page says nothing
}

var pictureMark = regexp.MustCompile(`\]\(([^)\s]+\.(?:png|jpg|svg))\)(?: <!-- (.+?) -->)?`)

func pictures(text string) []picture {
	var all []picture
	for _, m := range pictureMark.FindAllStringSubmatch(text, -1) {
		all = append(all, picture{file: m[1], from: m[2]})
	}
	return all
}

// course is the page that the longer runs are told of on.
const course = "docs/course.md"

// courseRows is a table of those rows of the course's page that hold the words, several
// by " | ".
func courseRows(words string) (string, error) {
	text, err := os.ReadFile(course)
	if err != nil {
		return "", err
	}
	var table []string
	for _, line := range strings.Split(string(text), "\n") {
		switch {
		case !strings.HasPrefix(line, "|"):
		case len(table) < 2: // the head
			table = append(table, line)
		default:
			for _, w := range strings.Split(words, " | ") {
				if strings.Contains(line, w) {
					table = append(table, line)
					break
				}
			}
		}
	}
	if len(table) < 3 {
		return "", fmt.Errorf("%s has no row with %q", course, words)
	}
	return strings.Join(table, "\n") + "\n", nil
}
