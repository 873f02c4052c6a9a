"""What a representation holds, whatever the network makes of it: answers, loops."""
