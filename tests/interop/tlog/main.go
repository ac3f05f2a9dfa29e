// Command tlog verifies what a log publishes with golang.org/x/mod/sumdb, which knows nothing of the log.
//
//	tlog checkpoint <verifier key> <checkpoint>
//	tlog proof <verifier key> <.tlog-proof> <leaf>
//	tlog consistency <verifier key> <old checkpoint> <new checkpoint> <consistency JSON>
//	tlog tree <verifier key> <folder with checkpoint, tile/ and proofs/>
//
// It prints what it verified and exits 0, or prints what is wrong and exits 1.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	commands := map[string]func([]string) (string, error){
		"checkpoint": checkpoint, "proof": proof, "consistency": consistency, "tree": tree,
	}
	if len(os.Args) < 3 || commands[os.Args[1]] == nil {
		fmt.Println("usage: tlog checkpoint|proof|consistency|tree <verifier key> <file> ...")
		os.Exit(3)
	}
	said, err := commands[os.Args[1]](os.Args[2:])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(said)
}

// open verifies a signed note and reads the three lines of its checkpoint.
func open(vkey string, text []byte) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, errors.New("bad size in checkpoint")
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

func openFile(vkey, name string) (tlog.Tree, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return tlog.Tree{}, err
	}
	return open(vkey, text)
}

func checkpoint(args []string) (string, error) {
	head, err := openFile(args[0], args[1])
	return fmt.Sprintf("%d %x", head.N, head.Hash[:]), err
}

// parseProof reads a .tlog-proof: https://c2sp.org/tlog-proof
func parseProof(text string) (index int64, hashes tlog.RecordProof, signed string, err error) {
	blank := strings.Index(text, "\n\n")
	if blank < 0 {
		return 0, nil, "", errors.New("proof file without an empty line")
	}
	lines := strings.Split(text[:blank], "\n")
	if lines[0] != "c2sp.org/tlog-proof@v1" {
		return 0, nil, "", errors.New("proof file of another format")
	}
	lines = lines[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return 0, nil, "", errors.New("proof file without an index")
	}
	digits := strings.TrimPrefix(lines[0], "index ")
	if index, err = strconv.ParseInt(digits, 10, 64); err != nil || strconv.FormatInt(index, 10) != digits {
		return 0, nil, "", errors.New("proof file with a bad index")
	}
	for _, line := range lines[1:] {
		raw, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(raw) != tlog.HashSize {
			return 0, nil, "", errors.New("proof file with a bad hash")
		}
		var hash tlog.Hash
		copy(hash[:], raw)
		hashes = append(hashes, hash)
	}
	return index, hashes, text[blank+2:], nil
}

func proof(args []string) (string, error) {
	text, err := os.ReadFile(args[1])
	if err != nil {
		return "", err
	}
	leaf, err := os.ReadFile(args[2])
	if err != nil {
		return "", err
	}
	index, hashes, signed, err := parseProof(string(text))
	if err != nil {
		return "", err
	}
	head, err := open(args[0], []byte(signed))
	if err != nil {
		return "", err
	}
	if index >= head.N {
		return "", errors.New("index beyond the checkpoint")
	}
	return fmt.Sprintf("%d of %d", index, head.N), tlog.CheckRecord(hashes, head.N, head.Hash, index, tlog.RecordHash(leaf))
}

type consistencyFile struct {
	From, To int64
	Hashes   []string
}

func readConsistency(name string) (found consistencyFile, hashes tlog.TreeProof, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return found, nil, err
	}
	if err = json.Unmarshal(text, &found); err != nil {
		return found, nil, err
	}
	for _, digits := range found.Hashes {
		raw, err := hex.DecodeString(digits)
		if err != nil || len(raw) != tlog.HashSize {
			return found, nil, errors.New("bad hash in consistency proof")
		}
		var hash tlog.Hash
		copy(hash[:], raw)
		hashes = append(hashes, hash)
	}
	return found, hashes, nil
}

func consistency(args []string) (string, error) {
	old, err := openFile(args[0], args[1])
	if err != nil {
		return "", err
	}
	head, err := openFile(args[0], args[2])
	if err != nil {
		return "", err
	}
	found, hashes, err := readConsistency(args[3])
	if err != nil {
		return "", err
	}
	if found.From != old.N || found.To != head.N {
		return "", errors.New("consistency proof between other sizes")
	}
	return fmt.Sprintf("%d to %d", old.N, head.N), tlog.CheckTree(hashes, head.N, head.Hash, old.N, old.Hash)
}

// files reads tiles of height 8 from a folder in the layout of https://c2sp.org/tlog-tiles
type files struct{ folder string }

func (f files) Height() int                     { return 8 }
func (f files) SaveTiles([]tlog.Tile, [][]byte) {}
func (f files) ReadTiles(tiles []tlog.Tile) (read [][]byte, err error) {
	for _, tile := range tiles {
		content, err := os.ReadFile(filepath.Join(f.folder, tilePath(strconv.Itoa(tile.L), tile.N, tile.W)))
		if err != nil {
			return nil, err
		}
		read = append(read, content)
	}
	return read, nil
}

func tilePath(kind string, index int64, width int) string {
	path := fmt.Sprintf("%03d", index%1000)
	for index /= 1000; index > 0; index /= 1000 {
		path = fmt.Sprintf("x%03d/%s", index%1000, path)
	}
	if width < 256 {
		path += fmt.Sprintf(".p/%d", width)
	}
	return "tile/" + kind + "/" + path
}

// entries reads every entry from the bundles.
func (f files) entries(size int64) (found [][]byte, err error) {
	for index := int64(0); index*256 < size; index++ {
		width := size - index*256
		if width > 256 {
			width = 256
		}
		bundle, err := os.ReadFile(filepath.Join(f.folder, tilePath("entries", index, int(width))))
		if err != nil {
			return nil, err
		}
		for ; width > 0; width-- {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return nil, fmt.Errorf("entry bundle %d is cut short", index)
			}
			length := int(binary.BigEndian.Uint16(bundle))
			found, bundle = append(found, bundle[2:2+length]), bundle[2+length:]
		}
		if len(bundle) > 0 {
			return nil, fmt.Errorf("entry bundle %d holds too much", index)
		}
	}
	return found, nil
}

// tree reads the whole log from tiles that it authenticates against the checkpoint, compares every entry with its
// hash there, and makes with its own code each proof that the log served.
func tree(args []string) (string, error) {
	folder := files{args[1]}
	head, err := openFile(args[0], filepath.Join(args[1], "checkpoint"))
	if err != nil {
		return "", err
	}
	reader := tlog.TileHashReader(head, folder)
	entries, err := folder.entries(head.N)
	if err != nil {
		return "", err
	}
	indexes := make([]int64, head.N)
	for n := range indexes {
		indexes[n] = tlog.StoredHashIndex(0, int64(n))
	}
	hashes, err := reader.ReadHashes(indexes)
	if err != nil {
		return "", err
	}
	for n, entry := range entries {
		if tlog.RecordHash(entry) != hashes[n] {
			return "", fmt.Errorf("entry %d does not have the hash in its tile", n)
		}
	}
	proofs, err := proofsOf(args[0], args[1], head, reader)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d entries, %d proofs", len(entries), proofs), nil
}

func proofsOf(vkey, folder string, head tlog.Tree, reader tlog.HashReader) (count int, err error) {
	served, err := filepath.Glob(filepath.Join(folder, "proofs", "*.tlog-proof"))
	if err != nil {
		return 0, err
	}
	for _, name := range served {
		text, err := os.ReadFile(name)
		if err != nil {
			return 0, err
		}
		index, hashes, signed, err := parseProof(string(text))
		if err != nil {
			return 0, err
		}
		at, err := open(vkey, []byte(signed))
		if err != nil {
			return 0, err
		}
		own, err := tlog.ProveRecord(at.N, index, reader)
		if err != nil {
			return 0, err
		}
		if fmt.Sprint(own) != fmt.Sprint(hashes) {
			return 0, fmt.Errorf("proof of entry %d in %d is not what the tiles give", index, at.N)
		}
		count++
	}
	between, err := filepath.Glob(filepath.Join(folder, "proofs", "*.json"))
	if err != nil {
		return 0, err
	}
	for _, name := range between {
		found, hashes, err := readConsistency(name)
		if err != nil {
			return 0, err
		}
		own, err := tlog.ProveTree(found.To, found.From, reader)
		if err != nil {
			return 0, err
		}
		if fmt.Sprint(own) != fmt.Sprint(hashes) {
			return 0, fmt.Errorf("consistency of %d and %d is not what the tiles give", found.From, found.To)
		}
		if err := agree(found, hashes, reader); err != nil {
			return 0, err
		}
		count++
	}
	return count, nil
}

func agree(found consistencyFile, hashes tlog.TreeProof, reader tlog.HashReader) error {
	old, err := tlog.TreeHash(found.From, reader)
	if err != nil {
		return err
	}
	root, err := tlog.TreeHash(found.To, reader)
	if err != nil {
		return err
	}
	return tlog.CheckTree(hashes, found.To, root, found.From, old)
}
