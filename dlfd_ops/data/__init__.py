"""From a source of face images to prepared samples: adapters, images, splits, manifest."""
