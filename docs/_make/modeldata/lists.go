package main

import (
	"slices"
	"strings"
)

// allKinds are the classes of the model "garments": the labels of the full set that name
// a kind, by number of pictures.
var allKinds = []string{"t-shirt", "longsleeve", "pants", "shoes", "shirt", "dress", "outwear", "shorts", "hat",
	"skirt", "polo", "undershirt", "blazer", "hoodie", "body", "top", "blouse"}

// noKinds are the labels of the full set that name no kind.
var noKinds = []string{"not sure", "other", "skip"}

// tenClasses are the classes of the model "clothing", the course's.
var tenClasses = []string{"dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt",
	"t-shirt"}

// asTen renames kinds that one of the ten classes may stand for.
var asTen = map[string]string{"blouse": "shirt", "blazer": "outwear"}

// Labels of the worn set. A label in no list, such as cardigan, vest, romper, suit or tights,
// fits several kinds or none: it gives no crop, but may hide one.
var (
	wornMerge = map[string]string{
		"sweater": "longsleeve", "sweatshirt": "longsleeve", "jumper": "longsleeve",
		"coat": "outwear", "jacket": "outwear", "cape": "outwear",
		"jeans": "pants", "leggings": "pants",
		"boots": "shoes", "sandals": "shoes", "heels": "shoes", "loafers": "shoes", "sneakers": "shoes",
		"pumps": "shoes", "flats": "shoes", "wedges": "shoes", "clogs": "shoes",
	}
	wornIgnored = []string{"null", "skin", "hair", "accessories", "bag", "belt", "bracelet", "earrings", "glasses",
		"necklace", "purse", "ring", "sunglasses", "wallet", "watch", "gloves", "tie", "scarf"}
	// wornKinds are the kinds that the worn set has labels for.
	wornKinds = slices.Concat(tenClasses, []string{"blazer", "blouse", "hoodie", "top"})
	// Worn and made of cloth, but no garment of any kind, and no example of "no garment"
	// either.
	wornCloth = []string{"belt", "gloves", "tie", "scarf"}
)

// shownClothes are the pictures of other-pictures that show clothes. Their ImageNet class says
// so, and we checked each one. The values are the acceptable kinds, the best first, or "" if no
// kind is right.
var shownClothes = map[string]string{
	"academic_gown": "", "chain_mail": "", "feather_boa": "", "mitten": "", "sock": "", "stole": "",
	"bonnet": "hat", "sombrero": "hat", "ski_mask": "hat",
	"clog": "shoes", "cowboy_boot": "shoes", "Loafer": "shoes", "running_shoe": "shoes", "sandal": "shoes",
	"cardigan": "longsleeve|outwear", "fur_coat": "outwear|longsleeve|skirt", "gown": "dress",
	"groom": "blazer|outwear", "jean": "pants", "jersey": "t-shirt", "kimono": "outwear|dress",
	"maillot": "body", "military_uniform": "outwear|hat", "suit": "blazer|outwear|shirt",
	"swimming_trunks": "shorts", "Windsor_tie": "shirt",
}

// shownPeople are the pictures that also show people in clothes. Accepting them is not wrong, and
// neither is refusing them.
var shownPeople = strings.Fields(`
	Appenzeller Blenheim_spaniel Lhasa hammerhead miniature_poodle sturgeon toy_terrier
	banjo barbell basketball bassoon bicycle-built-for-two bow broom crash_helmet croquet_ball
	flute football_helmet fountain grocery_store horizontal_bar laptop marimba
	paper_towel parallel_bars puck radio shovel snowmobile stretcher torch tricycle
	tripod tub unicycle vacuum volleyball`)

// unclear are the pictures that show something like a garment, or do not show the garment in
// their name. They serve neither for training nor for measuring.
var unclear = strings.Fields("Christmas_stocking cuirass shoe_shop")
