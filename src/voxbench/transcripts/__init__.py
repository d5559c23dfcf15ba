"""Transcripts: how texts are written in classes, read from a network's outputs, and checked against them.

Conventions, for every file of this room:

- A text is normalised (`normalising`): characters of `alphabet`, single blanks between words, none at the ends.
- A network's outputs are natural logarithms of probabilities (N, T, C): class 0 is CTC's blank ("connectionist
  temporal classification", Graves et al., ICML 2006), the others are those of `alphabet.CLASSES`.
- A frame beyond the end of a clip says blank with certainty: 0 for class 0 and `alphabet.NEVER` for all others. So
  clips of all lengths stand in one tensor and no lengths travel with them: what is decoded, scored or aligned is
  the same with and without such frames.

Shape letters: N recordings, T frames, C classes, L characters of the longest text.
"""
