"""The Gradio app's frame: the server and its guards, texts, and what every tab shares."""
