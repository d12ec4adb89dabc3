"""Tests of exporter.probing: the dialogues by transcripts, the rest against real sockets."""
