"""What LightDXML needs as labels grow: memory and work counted, and the tables of docs/scale.md, which set them beside what was
measured."""
