// Package accept decides whether a picture shows any of a model's classes at all
// (out-of-distribution detection). A score, computed from the network's outputs or features,
// is larger for pictures of the classes. A calibration turns it into an acceptance from 0 to
// 1, and a threshold decides.
package accept

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"garb/nn"
)

// Method is a way to score a picture.
type Method string

// The methods. K is the number of classes, z are the network's outputs.
const (
	// Class is a network trained with one more class, "other". Its score is
	// log Σ_{c≤K} e^z[c] − z[K+1], the logit of "not other".
	Class Method = "class"
	// Head is a network with one more output, z[K+1], trained as the logit of "one of the
	// classes". It is the score.
	Head Method = "head"
	// Exposure is a network of K outputs that was trained to give equal probabilities for
	// other pictures (outlier exposure, Hendrycks et al. 2019). The score is log p/(1−p), with
	// p the largest probability. Such training does not constrain log Σ e^z[c], since a
	// softmax does not depend on it.
	Exposure Method = "exposure"
	// Energy is the score log Σ e^z[c] of a network that was trained without other pictures
	// (Liu et al. 2020, temperature 1).
	Energy Method = "energy"
	// Distance is how much closer a picture's features are to those of a class than to those
	// of pictures in general: see FitDetector.
	Distance Method = "distance"
	// Neighbours is the similarity of a picture's features to those of training pictures:
	// see FitDetector.
	Neighbours Method = "neighbours"
)

// Methods returns all methods, first those whose networks are trained with other pictures.
func Methods() []Method { return []Method{Class, Head, Exposure, Energy, Distance, Neighbours} }

// ErrMethod is wrapped by errors about unknown methods.
var ErrMethod = errors.New("unknown acceptance method")

// Validate returns an error if the method is unknown.
func (m Method) Validate() error {
	if !slices.Contains(Methods(), m) {
		return fmt.Errorf("%w %q; the methods are %q", ErrMethod, string(m), Methods())
	}
	return nil
}

// HasOutput reports whether the network has an additional output for the method, after those
// of the classes.
func (m Method) HasOutput() bool { return m == Class || m == Head }

// NeedsFeatures reports whether a Detector computes the score from features, instead of Score
// from the network's outputs.
func (m Method) NeedsFeatures() bool { return m == Distance || m == Neighbours }

// Score returns the score of a picture by a method that needs only the network's outputs:
// those of the classes and, if HasOutput, one more. It panics for Distance and Neighbours,
// and if there are too few outputs.
func Score(m Method, outputs []float32, classes int) float64 {
	switch m {
	case Class:
		return nn.LogSumExp(outputs[:classes], 1) - float64(outputs[classes])
	case Head:
		return float64(outputs[classes])
	case Exposure:
		return computeTopLogit(outputs[:classes])
	case Energy:
		return nn.LogSumExp(outputs[:classes], 1)
	}
	panic(fmt.Sprintf("accept: method %q does not score outputs", string(m)))
}

// computeTopLogit returns log(p/(1−p)) for the largest probability p of the softmax.
func computeTopLogit(z []float32) float64 {
	top := nn.Argmax(z)
	rest := slices.Concat(z[:top], z[top+1:])
	if len(rest) == 0 {
		return 0
	}
	return float64(z[top]) - nn.LogSumExp(rest, 1)
}

// AUROC returns the area under the receiver operating characteristic: the probability that a
// picture of the classes has a larger score than another picture, where equal scores count
// half. It is NaN if accepted or others is empty.
func AUROC(accepted, others []float64) float64 {
	type scored struct {
		score    float64
		accepted bool
	}
	all := make([]scored, 0, len(accepted)+len(others))
	for _, s := range accepted {
		all = append(all, scored{s, true})
	}
	for _, s := range others {
		all = append(all, scored{s, false})
	}
	slices.SortFunc(all, func(a, b scored) int { return cmp.Compare(a.score, b.score) })
	wins, below := 0.0, 0.0 // below: others with a smaller score
	for low := 0; low < len(all); {
		high, ours, theirs := low, 0.0, 0.0
		for ; high < len(all) && all[high].score == all[low].score; high++ {
			if all[high].accepted {
				ours++
			} else {
				theirs++
			}
		}
		wins += float64(ours * (below + float64(theirs/2)))
		below += theirs
		low = high
	}
	return wins / (float64(len(accepted)) * float64(len(others)))
}

// FindThreshold returns the acceptance that best separates accepted from others. Pictures that
// reach it are accepted; the share of accepted that is refused plus the share of others that is
// accepted is smallest. Others may come in several groups, whose shares are averaged, so that
// many easy pictures of one kind do not hide those of another. Of equally good values
// FindThreshold takes the middle of the lowest gap, or 0 if it is best to accept all. The
// values are acceptances, from 0 to 1. Neither accepted nor any group may be empty.
func FindThreshold(accepted []float64, others ...[]float64) float64 {
	ours := slices.Sorted(slices.Values(accepted))
	theirs := make([][]float64, len(others))
	for i, group := range others {
		theirs[i] = slices.Sorted(slices.Values(group))
	}
	values := slices.Compact(slices.Sorted(slices.Values(slices.Concat(append(theirs, ours)...))))
	best, threshold := 1.0, 0.0 // accepting all refuses no picture and accepts all others
	for i := 1; i < len(values); i++ {
		refused, _ := slices.BinarySearch(ours, values[i])
		wrong := float64(refused) / float64(len(ours))
		for _, group := range theirs {
			below, _ := slices.BinarySearch(group, values[i])
			wrong += (1 - float64(below)/float64(len(group))) / float64(len(theirs))
		}
		if wrong < best-1e-12 {
			best, threshold = wrong, middle(values[i-1], values[i])
		}
	}
	return threshold
}

// ThresholdFor returns the largest threshold that accepts at least the given share of accepted,
// or half way from there to the next smaller value. The values are acceptances, from 0 to 1;
// accepted must not be empty.
func ThresholdFor(accepted []float64, share float64) float64 {
	sorted := slices.Sorted(slices.Values(accepted))
	lowest := quantile(sorted, share)
	below, _ := slices.BinarySearch(sorted, lowest)
	if below == 0 {
		return lowest * (1 - 1e-6) // so that the value still reaches it when rounded to float32
	}
	return middle(sorted[below-1], lowest)
}

// quantile returns the largest of the sorted values that at least this share of them reach.
func quantile(sorted []float64, share float64) float64 {
	refused := int(math.Floor(float64((1-share)*float64(len(sorted))) + 1e-9))
	return sorted[max(0, min(refused, len(sorted)-1))]
}

// middle returns the middle of two values, low < high; it is above low however it is rounded.
func middle(low, high float64) float64 {
	if m := low + float64((high-low)/2); m > low {
		return m
	}
	return high
}

// Share counts pictures, and how many of them are accepted.
type Share struct {
	Count    int `json:"count"`
	Accepted int `json:"accepted"`
}

// CountAccepted counts the acceptances that reach a threshold.
func CountAccepted(acceptances []float64, threshold float64) Share {
	s := Share{Count: len(acceptances)}
	for _, a := range acceptances {
		if a >= threshold {
			s.Accepted++
		}
	}
	return s
}

// Value returns the accepted share, from 0 to 1, or 0 if there are no pictures.
func (s Share) Value() float64 { return float64(s.Accepted) / float64(max(s.Count, 1)) }

// Low returns the lower end of Wilson's 95 % interval of the share.
func (s Share) Low() float64 { low, _ := s.interval(); return low }

// High returns the upper end of Wilson's 95 % interval of the share.
func (s Share) High() float64 { _, high := s.interval(); return high }

// interval returns Wilson's score interval (Wilson 1927).
func (s Share) interval() (low, high float64) {
	if s.Count <= 0 {
		return 0, 1
	}
	const z = 1.959963984540054 // the standard normal distribution's quantile .975
	n, p := float64(s.Count), s.Value()
	centre := (p + z*z/(2*n)) / (1 + z*z/n)
	half := float64(z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n)))
	return max(0, centre-half), min(1, centre+half)
}

// Validate returns an error if the counts are impossible.
func (s Share) Validate() error {
	if s.Count < 0 || s.Accepted < 0 || s.Accepted > s.Count {
		return fmt.Errorf("%d of %d pictures accepted", s.Accepted, s.Count)
	}
	return nil
}
