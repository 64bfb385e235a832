"""The documents' stories, each raised on a lab from its declaration (lab/scenarios/NN-NAME/scene.yaml)."""
