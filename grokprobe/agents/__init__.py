"""What assistant programs ask of a service: tools of the Model Context Protocol."""
