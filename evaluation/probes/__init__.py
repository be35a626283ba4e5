"""Small networks that read videos for the metrics; trained on true frames of training identities, never on others."""
