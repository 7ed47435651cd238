"""What a layer is made of; no layer stands here. The one private room that others may use."""
