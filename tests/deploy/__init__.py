"""Tests of images and manifests."""
